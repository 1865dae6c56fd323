//! Keeps tpm2-tss from writing to stderr.

/// tpm2-tss writes a line at every error that the TPM answers: whoever sends tokens could fill a
/// log with them. It reads `TSS2_LOG` when it is first used; what the user has set there stays.
pub(crate) fn silence_tpm2_tss() {
    if std::env::var_os("TSS2_LOG").is_none() {
        // SAFETY: the first thing that `main` does: there is no other thread that could read the
        // environment meanwhile.
        unsafe { std::env::set_var("TSS2_LOG", "all+none") };
    }
}
