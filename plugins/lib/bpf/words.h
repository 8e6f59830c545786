/* SPDX-License-Identifier: MIT */
/* What plugins with BPF programs say when those cannot be had. */
#ifndef LIB_BPF_WORDS_H
#define LIB_BPF_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_program;

/** Keep libbpf's first complaint from now on, and print none: it knows more than the error number. Of this process. */
void bpf_words_keep(void);

/** "Operation not permitted: failed to ... (BPF needs CAP_BPF ...)". */
void bpf_words_why(int error, char *to, size_t to_bytes);

/** The PFC_E... of an error number. */
int32_t bpf_words_status(int error);

/**
 * Whether BPF programs can be told processes of, and see the kernel's types. Else why, and what to do.
 */
bool bpf_words_usable(const char **ret_why, const char **ret_hint);

/**
 * Let programs with weak kernel functions load where the kernel lacks these: libbpf then looks for them in modules, which a stage may not
 * list (CAP_SYS_ADMIN), and before 1.2 takes that for a failure. It looks once only: this makes it look, for nothing. To be called
 * between open and load.
 */
void bpf_words_skip_modules(struct bpf_program *any);

#endif
