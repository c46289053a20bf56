//! Connections: counted when they come, and given on only once they speak HTTP/2 or HTTP/1.1.
//!
//! Each enters in a task of its own, so that one that hangs holds up nobody. What has not finished its TLS handshake
//! and its first word in time is cut. The preface of HTTP/2 is read here because the transport waits for it without a
//! limit, at its start and at its end; and because it tells the two protocols apart where TLS has not.

use crate::limits::slots::{Slot, Slots};
use crate::tls::{self, Tls};
use bytes::{Buf, Bytes};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// For the TLS handshake and the preface together.
const ENTER: Duration = Duration::from_secs(10);
/// After a failure to accept, for example when there are no more file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// What a client sends first on HTTP/2.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Where a connection comes from, as far as it is counted: an IPv4 address, or the /64 network that one holder of IPv6
/// addresses has at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    pub(crate) const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    fn of(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            IpAddr::V6(long) => {
                let network = u128::from(long) >> 64 << 64;
                Self(IpAddr::V6(Ipv6Addr::from(network)))
            }
            short @ IpAddr::V4(_) => Self(short),
        }
    }
}

/// Where a call comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote {
    /// As it is counted.
    pub(crate) peer: Peer,
    /// As it is written down.
    pub(crate) addr: IpAddr,
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP/2, as gRPC clients do.
    Http2,
    /// HTTP/1.1, as browsers do without TLS.
    Http1,
}

/// Connections, by what they speak.
pub(crate) struct Arrivals {
    pub(crate) http2: ReceiverStream<io::Result<Connection>>,
    pub(crate) http1: mpsc::Receiver<Connection>,
}

/// Where they are given on.
#[derive(Clone)]
struct Ready {
    http2: mpsc::Sender<io::Result<Connection>>,
    http1: mpsc::Sender<Connection>,
}

/// Takes connections until the receiver of those of HTTP/2 is dropped.
pub(crate) fn listen(listener: TcpListener, tls: Option<Arc<Tls>>, slots: Slots<Peer>) -> Arrivals {
    let (to_http2, http2) = mpsc::channel(1);
    let (to_http1, http1) = mpsc::channel(1);
    tokio::spawn(accept(listener, tls, slots, Ready { http2: to_http2, http1: to_http1 }));
    Arrivals { http2: ReceiverStream::new(http2), http1 }
}

/// Whoever is still entering when the receiver is gone is dropped with the set of tasks.
async fn accept(listener: TcpListener, tls: Option<Arc<Tls>>, slots: Slots<Peer>, ready: Ready) {
    let mut entering = JoinSet::new();
    loop {
        tokio::select! {
            () = ready.http2.closed() => return,
            Some(_) = entering.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, addr)) => {
                    let peer = Peer::of(addr.ip());
                    match slots.take(peer) {
                        Ok(slot) => {
                            let remote = Remote { peer, addr: addr.ip().to_canonical() };
                            entering.spawn(enter(stream, tls.clone(), slot, remote, ready.clone()));
                        }
                        Err(full) => tracing::debug!(?full, "a connection was closed: there are too many"),
                    }
                }
                Err(error) => {
                    tracing::debug!(cause = %error.kind(), "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn enter(stream: TcpStream, tls: Option<Arc<Tls>>, slot: Slot<Peer>, remote: Remote, ready: Ready) {
    let entered = async {
        stream.set_nodelay(true).map_err(|_| "it is gone")?;
        let (mut io, agreed): (Box<dyn Io>, _) = match tls {
            Some(tls) => {
                let (stream, agreed) = tls::handshake(&tls, stream).await?;
                (Box::new(stream), Some(agreed))
            }
            None => (Box::new(stream), None),
        };
        let (unread, speaks) = first_word(&mut io).await?;
        if agreed.is_some_and(|agreed| agreed != speaks) {
            return Err("it speaks another protocol than it has asked for");
        }
        Ok((io, unread, speaks))
    };
    // What the peer sent stays out of the log.
    match tokio::time::timeout(ENTER, entered).await.unwrap_or(Err("it took too long")) {
        Ok((io, unread, speaks)) => {
            let connection = Connection { io, unread, remote, _slot: slot };
            // The only failure is that the server has stopped.
            match speaks {
                Speaks::Http2 => drop(ready.http2.send(Ok(connection)).await),
                Speaks::Http1 => drop(ready.http1.send(connection).await),
            }
        }
        Err(cause) => tracing::debug!(cause, "a connection was cut before its first request"),
    }
}

/// Reads until it is clear whether this is the preface of HTTP/2. What was read is read again from the connection.
async fn first_word(io: &mut Box<dyn Io>) -> Result<(Bytes, Speaks), &'static str> {
    let (mut said, mut length) = ([0; PREFACE.len()], 0);
    while length < PREFACE.len() && said[..length] == PREFACE[..length] {
        match io.read(&mut said[length..]).await {
            Ok(read) if read > 0 => length += read,
            _ => return Err("it ended before it spoke"),
        }
    }
    let speaks = if said == PREFACE { Speaks::Http2 } else { Speaks::Http1 };
    Ok((Bytes::copy_from_slice(&said[..length]), speaks))
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection that has said its first word, which is read again from here.
pub(crate) struct Connection {
    io: Box<dyn Io>,
    unread: Bytes,
    remote: Remote,
    _slot: Slot<Peer>,
}

impl Connected for Connection {
    type ConnectInfo = Remote;

    fn connect_info(&self) -> Remote {
        self.remote
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, into);
        }
        let now = self.unread.len().min(into.remaining());
        into.put_slice(&self.unread[..now]);
        self.unread.advance(now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_holder_of_many_addresses_is_one_peer() {
        let peer = |text: &str| Peer::of(text.parse().unwrap());
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }
}
