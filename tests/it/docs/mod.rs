//! The pages of users say what is so: each promise that is a sentence names its test in the source of the page, and
//! each table is made from the program or compared with it.

mod key;
mod links;
pub(crate) mod page;
mod promises;
mod tables;
