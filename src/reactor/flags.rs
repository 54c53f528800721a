//! Booleans as the bits of one word, each with a name.
//!
//! A connection has some forty of them, and there may be a million connections: as bools they alone would be as large as
//! all the rest of an idle one. Several that are set together cost one instruction, too.
//!
//! This module touches nothing. Invariant: no two flags of one word share a bit, since each is numbered by its place.

/// Declares a word of flags that `$owner` holds in its field `flags`, and the question and the setter of each on the owner.
macro_rules! flags {
    (
        $(#[$about:meta])*
        $name:ident($word:ty) of $owner:ident {
            $($(#[$meaning:meta])* $flag:ident $set:ident,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Copy, Clone, Default, PartialEq, Eq)]
        pub(crate) struct $name($word);

        const _: () = {
            #[allow(non_camel_case_types, reason = "the places of the flags, by the names that they have")]
            #[derive(Copy, Clone)]
            enum Place { $($flag,)+ }

            #[allow(dead_code, reason = "not every flag is both asked for and set by name")]
            impl $owner {
                $(
                    $(#[$meaning])*
                    #[inline]
                    pub(crate) fn $flag(&self) -> bool {
                        // Evaluated by the compiler, which refuses one that is beyond the word.
                        const BIT: $word = 1 << Place::$flag as u32;
                        self.flags.0 & BIT != 0
                    }

                    #[inline]
                    pub(crate) fn $set(&mut self, on: bool) {
                        const BIT: $word = 1 << Place::$flag as u32;
                        if on {
                            self.flags.0 |= BIT;
                        } else {
                            self.flags.0 &= !BIT;
                        }
                    }
                )+
            }

            /// Shows the names of those that are set.
            impl std::fmt::Debug for $name {
                fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    let mut names = formatter.debug_list();
                    $(
                        if self.0 & (1 << Place::$flag as u32) != 0 {
                            names.entry(&format_args!("{}", stringify!($flag)));
                        }
                    )+
                    names.finish()
                }
            }
        };
    };
}

pub(crate) use flags;

#[cfg(test)]
mod tests {
    struct Door {
        flags: DoorFlags,
    }

    flags! {
        /// Of a door.
        DoorFlags(u8) of Door {
            open set_open,
            locked set_locked,
            painted set_painted,
        }
    }

    #[test]
    fn each_flag_is_set_alone_and_shown_by_its_name() {
        let mut door = Door { flags: DoorFlags::default() };
        door.set_locked(true);
        door.set_painted(true);
        door.set_locked(true);
        assert!(!door.open() && door.locked() && door.painted());
        assert_eq!(format!("{:?}", door.flags), "[locked, painted]");
        door.set_locked(false);
        assert!(!door.open() && !door.locked() && door.painted());
        assert_eq!(size_of::<Door>(), 1);
    }
}
