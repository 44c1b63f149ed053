//! The real binary over plain HTTP/1: pages, long polls, events, gRPC-Web, and who is turned away.

mod access;
mod logs;
mod support;
mod wires;
