//! Macros for types that are a text outside of the program.

/// An enum with one text for each variant: the enum, the function that gives the text, and, where it is asked for, the
/// list of all variants.
macro_rules! words {
    (
        $(#[$about:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }
        $(#[$says:meta])* $fn_vis:vis const fn $text_of:ident;
    ) => {
        $(#[$about])*
        $vis enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            $(#[$says])*
            #[must_use]
            $fn_vis const fn $text_of(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
    (
        $(#[$about:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }
        $(#[$says:meta])* $fn_vis:vis const fn $text_of:ident;
        const $all:ident;
    ) => {
        words! {
            $(#[$about])* $vis enum $name { $($(#[$doc])* $variant = $text,)+ }
            $(#[$says])* $fn_vis const fn $text_of;
        }

        impl $name {
            const $all: [Self; [$($text),+].len()] = [$(Self::$variant),+];
        }
    };
}

pub(crate) use words;
