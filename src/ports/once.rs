//! Questions that several images of a run have in common. Each is asked once, and all get the same answer: images of one run
//! are built on the same base, also if its tag moves meanwhile.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

use tokio::sync::OnceCell;

/// Answers by question.
pub(super) struct Once<Q, A>(RefCell<HashMap<Q, Rc<OnceCell<A>>>>);

impl<Q, A> Default for Once<Q, A> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<Q: Eq + Hash, A: Clone> Once<Q, A> {
    /// Returns the answer. Whoever asks while another one is waiting for it waits too.
    pub(super) async fn get(&self, question: Q, ask: impl AsyncFnOnce() -> A) -> A {
        let answer = Rc::clone(self.0.borrow_mut().entry(question).or_default());
        answer.get_or_init(|| ask()).await.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn each_question_is_asked_once() {
        let (once, asked) = (Once::default(), Cell::new(0));
        let ask = async |question: u8| {
            once.get(question, async || {
                tokio::task::yield_now().await;
                asked.set(asked.get() + 1);
                u32::from(question) * 2
            })
            .await
        };
        let answers = tokio::join!(ask(1), ask(2), ask(1));
        assert_eq!((answers, ask(2).await, asked.get()), ((2, 4, 2), 4, 2));
    }
}
