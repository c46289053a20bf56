//! Connections: counted when they come, and given to the transport only once they speak HTTP/2.
//!
//! Each enters in a task of its own, so that one that hangs holds up nobody. What has not finished its TLS handshake
//! and the preface of HTTP/2 in time is cut. The preface is read here because the transport waits for it without a
//! limit, at its start and at its end.

use crate::limits::slots::{Slot, Slots};
use crate::tls::{self, Tls};
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

/// Takes connections until the receiver is dropped.
pub(crate) fn listen(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    slots: Slots<Peer>,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(1);
    tokio::spawn(accept(listener, tls, slots, ready));
    ReceiverStream::new(connections)
}

/// Whoever is still entering when the receiver is gone is dropped with the set of tasks.
async fn accept(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    slots: Slots<Peer>,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    let mut entering = JoinSet::new();
    loop {
        tokio::select! {
            () = ready.closed() => return,
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

async fn enter(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    slot: Slot<Peer>,
    remote: Remote,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    let entered = async {
        stream.set_nodelay(true).map_err(|_| "it is gone")?;
        let mut io: Box<dyn Io> = match tls {
            Some(tls) => Box::new(tls::handshake(&tls, stream).await?),
            None => Box::new(stream),
        };
        let mut preface = [0; PREFACE.len()];
        io.read_exact(&mut preface).await.map_err(|_| "it ended before it spoke")?;
        if preface == PREFACE { Ok(io) } else { Err("it does not speak HTTP/2") }
    };
    // What the peer sent stays out of the log.
    match tokio::time::timeout(ENTER, entered).await.unwrap_or(Err("it took too long")) {
        Ok(io) => {
            let connection = Connection { io, unread: &PREFACE, remote, _slot: slot };
            // The only failure is that the server has stopped.
            let _stopped = ready.send(Ok(connection)).await;
        }
        Err(cause) => tracing::debug!(cause, "a connection was cut before its first request"),
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection that has said its preface, which is read again from here.
pub(crate) struct Connection {
    io: Box<dyn Io>,
    unread: &'static [u8],
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
        let (now, later) = self.unread.split_at(self.unread.len().min(into.remaining()));
        into.put_slice(now);
        self.unread = later;
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
