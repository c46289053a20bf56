// Resource names: `tenants/{tenant}/exports/{export}/runs/{run}`.

export const lastPart = (name: string): string => name.slice(name.lastIndexOf("/") + 1);

export function exportOfRun(run: string): string {
  return run.split("/").slice(0, 4).join("/");
}

export function isRunName(name: string): boolean {
  return /^tenants\/[^/]+\/exports\/[^/]+\/runs\/[^/]+$/.test(name);
}

export const allExports = (tenant: string): string => `tenants/${tenant}/exports/-`;
