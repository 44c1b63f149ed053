//! Everything between a socket and a subscription.

pub mod net;
