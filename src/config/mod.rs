//! What the operator wrote: file and environment in, rules or a list of every error out.
