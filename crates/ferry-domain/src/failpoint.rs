//! Places at which a test lets the process die, to see what a crash there leaves behind.
//!
//! Only a build with debug assertions holds them: in a release build [`failpoint!`](crate::failpoint!) is nothing at
//! all, and nothing below exists. The binary arms at most one, from its environment, and says how to die.

#[cfg(debug_assertions)]
pub use armed::{arm, pass};

/// A place that a crash test can choose, named after what has just happened there.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::failpoint::pass($name);
    };
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    static ARMED: OnceLock<Armed> = OnceLock::new();

    struct Armed {
        name: String,
        /// Passages that are left, the last one included.
        left: AtomicU32,
        /// How long whoever passes hangs before the end, while all others go on.
        hang: Duration,
        die: fn(Duration),
    }

    /// Arms the point of a text like `intent-committed:3`, to `die` on its third passage, or like
    /// `group-written:3:200`, to hang there for 200 ms first. False if it reads otherwise.
    #[must_use]
    pub fn arm(text: &str, die: fn(Duration)) -> bool {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default().to_owned();
        let numbers: Result<Vec<u32>, _> = parts.map(str::parse).collect();
        match numbers.as_deref() {
            Ok([left, hang @ ..]) => {
                let hang = Duration::from_millis(hang.first().copied().unwrap_or_default().into());
                ARMED.set(Armed { name, left: AtomicU32::new(*left), hang, die }).is_ok()
            }
            _ => false,
        }
    }

    /// Called at each passage, by the macro.
    pub fn pass(name: &str) {
        match ARMED.get() {
            Some(armed) if armed.name == name && armed.left.fetch_sub(1, Ordering::Relaxed) == 1 => {
                (armed.die)(armed.hang);
            }
            _ => {}
        }
    }
}
