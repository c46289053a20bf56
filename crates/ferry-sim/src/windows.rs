//! The documented limits, as sliding windows over the simulator's clock: the stricter reading of "per minute".

use std::collections::VecDeque;

/// At most `limit` requests in any `span` seconds.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    span: f64,
    arrivals: VecDeque<f64>,
    pub(crate) most: usize,
    pub(crate) refused: u64,
}

impl Window {
    pub(crate) fn new(limit: usize, span: f64) -> Self {
        Self { limit, span, arrivals: VecDeque::new(), most: 0, refused: 0 }
    }

    /// Counts a request at `now`, unless it is one too many.
    pub(crate) fn admit(&mut self, now: f64) -> bool {
        while self.arrivals.front().is_some_and(|first| now - first >= self.span) {
            self.arrivals.pop_front();
        }
        if self.arrivals.len() >= self.limit {
            self.refused += 1;
            return false;
        }
        self.arrivals.push_back(now);
        self.most = self.most.max(self.arrivals.len());
        true
    }

    pub(crate) fn left(&self) -> usize {
        self.limit - self.arrivals.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides() {
        let mut window = Window::new(2, 60.0);
        assert!(window.admit(0.0) && window.admit(30.0) && !window.admit(59.9));
        assert!(window.admit(60.0) && !window.admit(89.9) && window.admit(90.0));
        assert_eq!((window.most, window.refused), (2, 2));
    }
}
