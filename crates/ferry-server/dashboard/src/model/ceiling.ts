// How many profiles a minute the destination takes at most.

import type { DestinationType } from "../gen/ferry/v1/destination_type_pb";

/**
 * What ActiveCampaign documents for its bulk import: 100 requests a minute, 250 contacts each ("Bulk Import Contacts",
 * developers.activecampaign.com). Used only where the server does not say it by ListDestinationTypes.
 */
export const ACTIVECAMPAIGN_PROFILES_PER_MINUTE = 100 * 250;

/** The limit that is about imports of several contacts stands first in the descriptor, counted by the minute. */
export function profilesPerMinute(type: DestinationType | undefined): number {
  const limit = type?.rateLimits.find((limit) => limit.window !== undefined && limit.window.seconds >= 60n);
  if (!type || !limit?.window || type.rowsPerRequest <= 0) return ACTIVECAMPAIGN_PROFILES_PER_MINUTE;
  return (limit.requests * type.rowsPerRequest * 60) / Number(limit.window.seconds);
}
