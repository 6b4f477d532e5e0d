//! The `brigade` program: parse, run, exit.

fn main() {}
