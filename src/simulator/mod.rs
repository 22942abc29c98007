//! A provider that is not one: answers all four dialects from a script, for the first minute and for tests.
