//! The past of real files: what is asked for by time, count or filter is what a plain look at all lines would find.

mod archives;
mod context;
mod filters;
mod merged;
mod support;
mod times;
