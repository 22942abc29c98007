//! Start: arguments, then one command.

fn main() {}
