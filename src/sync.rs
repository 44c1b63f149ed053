//! The locks of the wake-up path and the cache. The model checks of `tests/loom.rs` put loom's in their place.

pub use std::sync::{Mutex, MutexGuard};

/// Locks, whether or not a thread panicked with the lock held: every critical section leaves its data whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
