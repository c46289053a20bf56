//! A wire between Ferry and the simulator that a test can stop at any byte.

use ferry_testkit::eventually;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(60);

pub(super) struct Wire {
    pub(super) addr: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    /// Bytes that may still go to the simulator.
    left: AtomicU64,
    /// Connections that were stopped.
    stopped: AtomicUsize,
    /// Bytes that Ferry's sockets have taken.
    answered: AtomicU64,
    cut: watch::Sender<()>,
}

impl Wire {
    pub(super) async fn to(simulator: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (left, stopped, answered) = (u64::MAX.into(), 0.into(), 0.into());
        let state = Arc::new(State { left, stopped, answered, cut: watch::Sender::new(()) });
        let accepting = tokio::spawn(accept(listener, simulator, Arc::clone(&state)));
        Self { addr, state, accepting }
    }

    /// Lets so many bytes more to the simulator.
    pub(super) fn stop_after(&self, bytes: u64) {
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    /// Waits until a connection is stopped.
    pub(super) async fn stopped(&self) {
        let stopped = || self.state.stopped.load(Ordering::SeqCst);
        eventually(SOON, || async { if stopped() > 0 { Ok(()) } else { Err("no connection is stopped") } }).await;
    }

    /// Bytes that have come to Ferry's sockets.
    pub(super) fn answered(&self) -> u64 {
        self.state.answered.load(Ordering::SeqCst)
    }

    /// Cuts every connection; new ones are not stopped.
    pub(super) fn renew(&self) {
        self.state.left.store(u64::MAX, Ordering::SeqCst);
        self.state.cut.send_replace(());
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
        self.state.cut.send_replace(());
    }
}

async fn accept(listener: TcpListener, simulator: SocketAddr, state: Arc<State>) {
    while let Ok((ferry, _)) = listener.accept().await {
        tokio::spawn(connect(ferry, simulator, Arc::clone(&state)));
    }
}

async fn connect(ferry: TcpStream, simulator: SocketAddr, state: Arc<State>) {
    let mut cut = state.cut.subscribe();
    let Ok(simulator) = TcpStream::connect(simulator).await else { return };
    let ((from_ferry, to_ferry), (from_simulator, to_simulator)) = (ferry.into_split(), simulator.into_split());
    tokio::select! {
        _ = cut.changed() => {}
        () = requests(from_ferry, to_simulator, &state) => {}
        () = answers(from_simulator, to_ferry, &state) => {}
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) {
    let mut buffer = vec![0; 16 * 1_024];
    loop {
        let left = usize::try_from(state.left.load(Ordering::SeqCst)).unwrap_or(usize::MAX).min(buffer.len());
        if left == 0 {
            state.stopped.fetch_add(1, Ordering::SeqCst);
            // Until it is cut.
            return std::future::pending().await;
        }
        let Ok(size @ 1..) = from.read(&mut buffer[..left]).await else { return };
        // What came while the wire was being stopped waits in here.
        let passes = state.left.load(Ordering::SeqCst).min(size as u64);
        if to.write_all(&buffer[..passes as usize]).await.is_err() {
            return;
        }
        state.left.fetch_sub(passes, Ordering::SeqCst);
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) {
    let mut buffer = vec![0; 16 * 1_024];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..size]).await.is_err() {
            return;
        }
        state.answered.fetch_add(size as u64, Ordering::SeqCst);
    }
}
