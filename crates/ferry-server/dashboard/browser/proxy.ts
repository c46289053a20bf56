// A door between the browser and the server that can be shut: it ends every connection and takes no new one until it is
// opened again. It passes bytes on as they are.

import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

export interface Door {
  url: string;
  shut(): void;
  open(): Promise<void>;
  close(): Promise<void>;
}

export async function startDoor(target: URL): Promise<Door> {
  const sockets = new Set<Socket>();
  const port = Number(target.port || (target.protocol === "https:" ? 443 : 80));
  let server: Server | undefined;
  let own = 0;
  const listen = async (): Promise<void> => {
    server = createServer((socket) => {
      const far = connect(port, target.hostname);
      for (const one of [socket, far]) {
        sockets.add(one);
        one.on("error", () => one.destroy());
        one.on("close", () => {
          sockets.delete(one);
          socket.destroy();
          far.destroy();
        });
      }
      socket.pipe(far);
      far.pipe(socket);
    });
    const listening = server;
    await new Promise<void>((resolve) => listening.listen(own, "127.0.0.1", resolve));
    own = (listening.address() as AddressInfo).port;
  };
  const shut = (): void => {
    server?.close();
    for (const socket of sockets) socket.destroy();
  };
  await listen();
  return { url: `${target.protocol}//127.0.0.1:${own}`, shut, open: listen, close: async () => shut() };
}
