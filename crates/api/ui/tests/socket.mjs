// As much of RFC 6455 as a server needs that speaks text and listens to nothing but pings and the end.
import { createHash } from "node:crypto";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Answers an upgrade, and returns `{ send(value), close(), onEnd }`. */
export function accept(request, socket) {
  const key = request.headers["sec-websocket-key"] ?? "";
  const answer = createHash("sha1").update(key + GUID).digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${answer}\r\n\r\n`,
  );
  const ends = [];
  socket.on("close", () => ends.forEach((end) => end()));
  socket.on("error", () => socket.destroy());
  socket.on("data", (bytes) => {
    const kind = bytes[0] & 0x0f;
    if (kind === 8) socket.end(Buffer.from([0x88, 0]));
  });
  return {
    send: (value) => socket.writable && socket.write(frame(Buffer.from(JSON.stringify(value)))),
    close: () => socket.destroy(),
    onEnd: (end) => ends.push(end),
  };
}

function frame(payload) {
  const n = payload.length;
  if (n < 126) return Buffer.concat([Buffer.from([0x81, n]), payload]);
  if (n < 65_536) return Buffer.concat([Buffer.from([0x81, 126, n >> 8, n & 255]), payload]);
  const head = Buffer.alloc(10);
  head[0] = 0x81;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(n), 2);
  return Buffer.concat([head, payload]);
}
