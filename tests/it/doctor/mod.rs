//! `build-once doctor`: each thing that can be wrong, in turn.

mod cloud;
mod faults;
mod machine;
mod page;
mod project;
mod takers;
mod world;
