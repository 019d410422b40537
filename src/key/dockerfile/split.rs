//! A text that is split into words while it is processed: `a"b c" d` is the words `ab c` and `d`.

/// The processed text as a whole and, at the same time, split into words (`wordsStruct`).
#[derive(Default)]
pub(super) struct Words {
    pub whole: String,
    pub split: Vec<String>,
    /// The word that is not ended yet.
    current: String,
}

impl Words {
    /// Adds an unquoted character: a blank ends a word.
    pub(super) fn add_char(&mut self, c: char) {
        self.whole.push(c);
        self.add_to_words(c);
    }

    pub(super) fn add_to_words(&mut self, c: char) {
        if c.is_whitespace() {
            self.end_word();
        } else {
            self.current.push(c);
        }
    }

    /// Adds text that does not end a word, whatever blanks are in it.
    pub(super) fn add_quoted(&mut self, text: &str) {
        self.whole.push_str(text);
        self.current.push_str(text);
    }

    pub(super) fn end_word(&mut self) {
        if !self.current.is_empty() {
            self.split.push(std::mem::take(&mut self.current));
        }
    }
}
