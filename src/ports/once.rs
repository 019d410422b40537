//! Questions that several images of a run have in common. Each is asked once, and all get the same answer: images of one run
//! are built on the same base, also if its tag moves meanwhile.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

use tokio::sync::OnceCell;

/// Answers by question.
pub(super) struct Once<Q, A, E>(RefCell<HashMap<Q, Cell<A, E>>>);

/// An answer that may still be on its way.
type Cell<A, E> = Rc<OnceCell<Result<A, E>>>;

impl<Q, A, E> Default for Once<Q, A, E> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<Q: Eq + Hash + Clone, A: Clone, E: Clone> Once<Q, A, E> {
    /// Returns the answer. Callers with the same question share one request. An error is not kept: the next caller asks again.
    ///
    /// # Errors
    /// Those of `ask`.
    pub(super) async fn get(&self, question: Q, ask: impl AsyncFnOnce() -> Result<A, E>) -> Result<A, E> {
        let cell = Rc::clone(self.0.borrow_mut().entry(question.clone()).or_default());
        let answer = cell.get_or_init(|| ask()).await.clone();
        let mut known = self.0.borrow_mut();
        if answer.is_err() && known.get(&question).is_some_and(|now| Rc::ptr_eq(now, &cell)) {
            known.remove(&question);
        }
        answer
    }

    /// Forgets all answers.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_question_is_asked_once() {
        let (once, asked) = (Once::default(), std::cell::Cell::new(0));
        let ask = async |question: u8| {
            once.get(question, async || {
                tokio::task::yield_now().await;
                asked.set(asked.get() + 1);
                if question == 0 { Err("refused") } else { Ok(u32::from(question) * 2) }
            })
            .await
        };
        let answers = tokio::join!(ask(1), ask(2), ask(1));
        assert_eq!((answers, ask(2).await, asked.get()), ((Ok(2), Ok(4), Ok(2)), Ok(4), 2));
        // Those that wait for an error share it; later ones ask again.
        let errors = tokio::join!(ask(0), ask(0));
        assert_eq!((errors, asked.get()), ((Err("refused"), Err("refused")), 3));
        assert_eq!((ask(0).await, asked.get()), (Err("refused"), 4));
        once.clear();
        assert_eq!((ask(2).await, asked.get()), (Ok(4), 5));
    }
}
