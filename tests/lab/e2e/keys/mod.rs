//! The key on real parts: it counts what the engine would be sent, what is built is what it saw,
//! and its entries travel with the image and explain every miss.

mod bad_inputs;
mod coherence;
mod copied;
mod explained;
mod files;
mod git;
mod git_urls;
mod makers;
mod sets;
mod sources;
mod spellings;
mod trees;
