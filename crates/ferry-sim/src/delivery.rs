//! Whether an answer left, as far as a server can tell: its body was taken by the connection before it went away.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};

use crate::api::Answer;
use crate::simulator::Simulator;

/// Notes at its end whether an answer left; wherever a request is dropped, it did not.
pub(crate) struct Delivery {
    simulator: Arc<Simulator>,
    seq: u64,
    delivered: bool,
}

impl Delivery {
    pub(crate) fn new(simulator: Arc<Simulator>, seq: u64) -> Self {
        Self { simulator, seq, delivered: false }
    }

    pub(crate) fn set(&mut self, delivered: bool) {
        self.delivered = delivered;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.simulator.answered(self.seq, self.delivered);
    }
}

/// The body of an answer, which knows when it is taken.
pub(crate) struct Tracked {
    bytes: Option<Bytes>,
    delivery: Option<Delivery>,
}

impl Tracked {
    pub(crate) fn response(answer: &Answer, mut delivery: Option<Delivery>) -> Response<Self> {
        let bytes = (!answer.body.is_empty()).then(|| answer.body.clone());
        if let (None, Some(delivery)) = (&bytes, &mut delivery) {
            // A connection does not ask for an empty body.
            delivery.set(true);
        }
        let mut response = Response::new(Self { bytes, delivery });
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(content_type) = answer.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in &answer.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = self.bytes.take().map(|bytes| Ok(Frame::data(bytes)));
        if let Some(delivery) = &mut self.delivery {
            delivery.set(true);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
