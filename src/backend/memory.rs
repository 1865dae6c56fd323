//! Software keys. NO SECURITY: for tests and examples only.
