//! The whole of it: the real program and generated clients, and the feed by itself.

mod access;
mod batches;
mod calls;
mod exact;
mod follow;
mod identical;
mod in_process;
mod life;
mod limits;
mod many;
mod matrix;
mod packed;
mod places;
mod refusals;
mod reload;
mod support;
