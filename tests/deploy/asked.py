"""Questions to a running Ferry as probes and callers ask them, with the standard library alone."""

import http.client
import ssl
import struct


def _connection(port, is_tls):
    if not is_tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    # Like the kubelet, which does not look at the certificate of what it probes.
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    # Whoever says neither h2 nor http/1.1 is cut. The kubelet says both.
    trusting.set_alpn_protocols(["http/1.1"])
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=trusting)


def get(port, path, is_tls):
    """The status of a GET, or nothing where nobody answers."""
    connection = _connection(port, is_tls)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def call(port, is_tls, method, message, token=None):
    """A call by gRPC-Web: the first message of the answer, or nothing, and the number of its status."""
    headers = {"content-type": "application/grpc-web+proto"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    connection = _connection(port, is_tls)
    try:
        connection.request("POST", f"/{method}", b"\0" + struct.pack(">I", len(message)) + message, headers)
        response = connection.getresponse()
        body = response.read()
        status, answer = response.getheader("grpc-status"), None
        while body:
            kind, size = body[0], struct.unpack(">I", body[1:5])[0]
            frame, body = body[5 : 5 + size], body[5 + size :]
            if kind & 0x80:
                for line in frame.decode().splitlines():
                    if line.startswith("grpc-status:"):
                        status = line.split(":")[1].strip()
            else:
                answer = frame
        return answer, status
    except (OSError, http.client.HTTPException):
        return None, None
    finally:
        connection.close()


def is_serving(port, is_tls):
    """What the kubelet's gRPC probe asks: the health of the whole server."""
    answer, status = call(port, is_tls, "grpc.health.v1.Health/Check", b"")
    return status == "0" and answer == b"\x08\x01"


def text(number, value):
    """A field of protobuf that holds a text or a message."""
    value = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(value)]) + value


def create_tenant(port, is_tls, token, tenant):
    """Makes a tenant; the number of the status."""
    message = text(1, tenant) + text(2, text(3, tenant.title()))
    return call(port, is_tls, "ferry.v1.TenantService/CreateTenant", message, token)[1]
