//! Files over the in-memory store: what is visible when, what a failure leaves, what each operation costs.

mod attributes;
mod cost;
mod crashes;
mod figures;
mod files;
mod harness;
mod inherited;
mod journal;
mod lacking;
mod names;
mod patches;
mod removals;
mod renames;
mod rounds;
mod unlinked;
