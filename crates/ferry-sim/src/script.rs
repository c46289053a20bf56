//! What is played on a socket by hand, byte by byte, when an answer shall not be a proper one.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::api::Answer;
use crate::faults::FaultKind;
use crate::server::Socket;

/// How long a connection that was given up is kept at most, in real time.
const LONGEST_HANG: Duration = Duration::from_secs(600);

/// Bytes, pauses, and how the connection ends.
pub(crate) struct Script {
    steps: Vec<Step>,
    end: End,
    /// The whole answer leaves, if the client takes it.
    whole: bool,
}

enum Step {
    Write(Bytes),
    /// One byte at a time.
    Drip(Bytes, Duration),
    Pause(Duration),
    /// The same again and again until the client goes.
    Flood(Bytes),
}

#[derive(Clone, Copy)]
enum End {
    Close,
    Reset,
    /// Reads on and says nothing.
    Silence,
    /// Neither reads nor says anything.
    Deaf,
}

enum Length {
    Exact,
    Off(i64),
    Chunked,
}

impl Script {
    fn new(steps: Vec<Step>, end: End, whole: bool) -> Self {
        Self { steps, end, whole }
    }

    /// The connection is kept, and nothing is read from it.
    pub(crate) fn deaf() -> Self {
        Self::new(Vec::new(), End::Deaf, false)
    }

    /// The connection is reset.
    pub(crate) fn reset() -> Self {
        Self::new(Vec::new(), End::Reset, false)
    }

    /// How a fault delivers an answer; none, when it leaves that to the server.
    pub(crate) fn deliver(fault: &FaultKind, answer: &Answer) -> Option<Self> {
        let body = || Step::Write(answer.body.clone());
        let head = |length| Step::Write(head(answer, length).into());
        let all = || -> Bytes { [self::head(answer, Length::Exact).as_bytes(), &answer.body].concat().into() };
        let every = |ms: &u64| Duration::from_millis(*ms);
        let script = match fault {
            FaultKind::NeverAnswer => Self::new(Vec::new(), End::Silence, false),
            FaultKind::ResetAfterwards => Self::reset(),
            FaultKind::CutAnswer { after_bytes } => {
                let all = all();
                let end = (*after_bytes).min(all.len());
                // Time for the bytes to arrive, as a reset overtakes what is under way.
                let pause = Step::Pause(Duration::from_millis(50));
                Self::new(vec![Step::Write(all.slice(..end)), pause], End::Reset, false)
            }
            FaultKind::IdleReset { after_ms } => {
                Self::new(vec![Step::Write(all()), Step::Pause(every(after_ms))], End::Reset, true)
            }
            FaultKind::SlowHeaders { every_ms } => {
                Self::new(vec![Step::Drip(all(), every(every_ms))], End::Close, true)
            }
            FaultKind::SlowBody { every_ms } => {
                let drip = Step::Drip(answer.body.clone(), every(every_ms));
                Self::new(vec![head(Length::Exact), drip], End::Close, true)
            }
            FaultKind::EndlessBody => {
                let chunk = format!("2000\r\n{}\r\n", " ".repeat(0x2000));
                Self::new(vec![head(Length::Chunked), Step::Flood(chunk.into())], End::Close, false)
            }
            FaultKind::LengthTooLong => Self::new(vec![head(Length::Off(10)), body()], End::Close, false),
            FaultKind::LengthTooShort => Self::new(vec![head(Length::Off(-1)), body()], End::Close, false),
            FaultKind::BrokenChunk => {
                let half = answer.body.slice(..answer.body.len() / 2);
                let chunk = [format!("{:x}\r\n", half.len()).as_bytes(), &half, b"\r\nZZ\r\n"].concat();
                Self::new(vec![head(Length::Chunked), Step::Write(chunk.into())], End::Close, false)
            }
            FaultKind::HugeHeader => {
                let mut huge = answer.clone();
                huge.header("x-huge", &"h".repeat(1 << 20));
                Self::new(vec![Step::Write(self::head(&huge, Length::Exact).into()), body()], End::Close, true)
            }
            FaultKind::InterimAnswers => {
                let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000);
                Self::new(vec![Step::Write(interim.into()), Step::Write(all())], End::Close, true)
            }
            // A wildcard, because all other kinds are answered by the server.
            _ => return None,
        };
        Some(script)
    }

    /// Plays it; the answer is whether the whole answer left.
    pub(crate) async fn play(self, mut socket: Socket) -> bool {
        for step in self.steps {
            let done = match step {
                Step::Write(bytes) => write(&mut socket, &bytes).await,
                Step::Drip(bytes, every) => drip(&mut socket, &bytes, every).await,
                Step::Pause(real) => {
                    tokio::time::sleep(real).await;
                    Ok(())
                }
                Step::Flood(bytes) => loop {
                    if let Err(error) = write(&mut socket, &bytes).await {
                        break Err(error);
                    }
                },
            };
            if done.is_err() {
                return false;
            }
        }
        end(socket, self.end).await;
        self.whole
    }
}

async fn write(socket: &mut Socket, bytes: &[u8]) -> std::io::Result<()> {
    socket.write_all(bytes).await?;
    socket.flush().await
}

async fn drip(socket: &mut Socket, bytes: &[u8], every: Duration) -> std::io::Result<()> {
    for byte in bytes {
        write(socket, std::slice::from_ref(byte)).await?;
        tokio::time::sleep(every).await;
    }
    Ok(())
}

async fn end(mut socket: Socket, end: End) {
    match end {
        End::Close => {
            // What the client still sends must be read, or the close becomes a reset that eats the answer.
            if socket.shutdown().await.is_ok() {
                let _ = tokio::time::timeout(Duration::from_secs(1), drain(&mut socket)).await;
            }
        }
        End::Reset => {
            // With no time to linger, dropping the socket sends RST.
            let _ = socket.tcp().set_zero_linger();
        }
        End::Silence => {
            let _ = tokio::time::timeout(LONGEST_HANG, drain(&mut socket)).await;
        }
        End::Deaf => tokio::time::sleep(LONGEST_HANG).await,
    }
}

async fn drain(socket: &mut Socket) {
    let mut buffer = [0; 4096];
    while socket.read(&mut buffer).await.is_ok_and(|size| size > 0) {}
}

fn head(answer: &Answer, length: Length) -> String {
    let reason = http::StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason.unwrap_or_default());
    let mut line = |name: &str, value: &str| {
        write!(head, "{name}: {value}\r\n").expect("a string takes every write");
    };
    if let Some(content_type) = answer.content_type {
        line("content-type", content_type);
    }
    answer.headers.iter().for_each(|(name, value)| line(name, value));
    match length {
        Length::Exact => line("content-length", &answer.body.len().to_string()),
        Length::Off(by) => {
            let length = (answer.body.len() as i64 + by).max(0);
            line("content-length", &length.to_string());
        }
        Length::Chunked => line("transfer-encoding", "chunked"),
    }
    head.push_str("\r\n");
    head
}
