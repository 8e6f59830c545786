/* SPDX-License-Identifier: MIT */
/*
 * The ways from the fast paths (names.c, more_names.c), which come here by a jump that leaves the caller's registers as they
 * were, to the functions of slow.c: up to four arguments stay in place, the fifth is a struct caller.
 */
	.macro slow name, function
	.globl \name
	.hidden \name
	.type \name, @function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
	subq $72, %rsp
	.cfi_adjust_cfa_offset 72
	movq 72(%rsp), %rax
	movq %rax, 0(%rsp)
	leaq 80(%rsp), %rax
	movq %rax, 8(%rsp)
	movq %rbp, 16(%rsp)
	movq %rbx, 24(%rsp)
	movq %r12, 32(%rsp)
	movq %r13, 40(%rsp)
	movq %r14, 48(%rsp)
	movq %r15, 56(%rsp)
	movq %rsp, %r8
	call \function
	addq $72, %rsp
	.cfi_adjust_cfa_offset -72
	ret
	.cfi_endproc
	.size \name, . - \name
	.endm

	.text
	slow slow_malloc, do_malloc
	slow slow_calloc, do_calloc
	slow slow_realloc, do_realloc
	slow slow_free, do_free
	slow slow_posix_memalign, do_posix_memalign
	slow slow_aligned_alloc, do_aligned_alloc
	slow slow_memalign, do_memalign
	slow slow_valloc, do_valloc
	slow slow_pvalloc, do_pvalloc
	slow slow_reallocarray, do_reallocarray
	slow slow_get, do_get
	slow slow_get_many, do_get_many
	slow slow_get_more, do_get_more

	.section .note.GNU-stack, "", @progbits
