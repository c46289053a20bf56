//! The body of an answer, which holds the place of its call until it is sent or given up.
//!
//! tonic's own limits let go as soon as the head of the answer is ready, and so do not see a stream at all.

use super::{Caller, slots::Slot};
use crate::status::with_token;
use bytes::Bytes;
use ferry_control::LastToken;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::{Code, Status};

/// An answer's body with its place.
pub(crate) struct Held {
    inner: Body,
    _slot: Slot<Caller>,
    ending: Option<Ending>,
    ended: bool,
}

/// What ends a stream from our side.
pub(crate) struct Ending {
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    over: Pin<Box<Sleep>>,
    last_word: Option<Status>,
    /// Of a stream that can be gone on with.
    token: Option<LastToken>,
}

impl Ending {
    /// A stream that ends when its time is over, with that status, or when the server stops.
    pub(crate) fn new(stop: CancellationToken, life: Duration, last_word: Status) -> Self {
        Self {
            stop: Box::pin(stop.cancelled_owned()),
            over: Box::pin(tokio::time::sleep(life)),
            last_word: Some(last_word),
            token: None,
        }
    }

    /// The same, for one whose end tells where to go on.
    pub(crate) fn telling(self, token: Option<LastToken>) -> Self {
        Self { token, ..self }
    }

    fn over(&mut self, context: &mut Context<'_>) -> Option<Status> {
        self.over.as_mut().poll(context).is_ready().then(|| self.last_word.take()).flatten()
    }

    fn stopped(&mut self, context: &mut Context<'_>) -> Option<Status> {
        let stopped = self.stop.as_mut().poll(context).is_ready();
        stopped.then(|| Status::unavailable("the server is shutting down; open the stream again"))
    }
}

impl Held {
    /// A unary answer has no ending: it is whole once its head is there.
    pub(crate) fn new(inner: Body, slot: Slot<Caller>, ending: Option<Ending>) -> Self {
        Self { inner, _slot: slot, ending, ended: false }
    }

    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.ended = true;
        let token = self.ending.take().and_then(|ending| ending.token);
        // Whoever set a deadline of their own is told as always that it has passed.
        let token = token.filter(|_| status.code() == Code::Unavailable).and_then(|token| token.get());
        let status = with_token(status, token.as_deref());
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // The time comes first, or a stream that always has more to say would never end.
        if let Some(status) = self.ending.as_mut().and_then(|ending| ending.over(context)) {
            return self.end(&status);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        // What was said before the stop is still told.
        match self.ending.as_mut().and_then(|ending| ending.stopped(context)) {
            Some(status) => self.end(&status),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.ending.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::limits::{Bounds, slots::Slots};
    use std::future::poll_fn;

    /// Says so many words and then waits.
    struct Words(usize);

    impl HttpBody for Words {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            match self.0.checked_sub(1) {
                None => Poll::Pending,
                Some(left) => {
                    self.0 = left;
                    Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"word")))))
                }
            }
        }
    }

    fn held(words: usize, stop: &CancellationToken, life: Duration) -> Held {
        let slot = Slots::new(Bounds { total: 1, each: 1 }).take(Caller::Subject("ada".to_owned())).ok().unwrap();
        let ending = Ending::new(stop.clone(), life, Status::deadline_exceeded("over"));
        Held::new(Body::new(Words(words)), slot, Some(ending))
    }

    /// `word`, or the code of the end, or nothing.
    async fn next(held: &mut Held) -> Option<String> {
        let frame = poll_fn(|context| Pin::new(&mut *held).poll_frame(context)).await?.unwrap();
        let end = frame.trailers_ref().map(|trailers| trailers["grpc-status"].to_str().unwrap().to_owned());
        Some(end.unwrap_or_else(|| "word".to_owned()))
    }

    #[tokio::test]
    async fn a_stream_that_always_has_more_to_say_ends_when_its_time_is_over() {
        let mut held = held(usize::MAX, &CancellationToken::new(), Duration::ZERO);
        let end = async {
            loop {
                match next(&mut held).await.unwrap() {
                    word if word == "word" => tokio::task::yield_now().await,
                    end => break end,
                }
            }
        };
        let end = tokio::time::timeout(Duration::from_secs(10), end).await;
        assert_eq!(end.as_deref(), Ok("4"));
        assert_eq!(next(&mut held).await, None);
    }

    #[tokio::test]
    async fn what_was_said_before_the_stop_is_still_told() {
        let stop = CancellationToken::new();
        let mut held = held(2, &stop, Duration::from_secs(3_600));
        stop.cancel();
        let mut told = Vec::new();
        while let Some(word) = next(&mut held).await {
            told.push(word);
        }
        assert_eq!(told, ["word", "word", "14"]);
    }
}
