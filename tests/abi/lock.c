/* SPDX-License-Identifier: MIT */
/*
 * The layout lock of the public headers, written by make_lock.py. It does not compile, or its program fails, when a change
 * would break a plugin that was built before. After an append, write it anew and review that lines were only added.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <profcore/artifact.h>
#include <profcore/ext/draft/stacks.h>
#include <profcore/ext/draft/target.h>
#include <profcore/host.h>
#include <profcore/plugin.h>
#include <profcore/profcore.h>
#include <profcore/status.h>
#include <profcore/version.h>

#if UINTPTR_MAX != UINT64_MAX
#error "the lock holds the layout of 64-bit machines"
#endif

#define SAME(actual, locked) _Static_assert((actual) == (locked), #actual " changed")
#define AT_LEAST(actual, locked) _Static_assert((actual) >= (locked), #actual " shrank")
#define TYPE(actual, ...) \
	_Static_assert(__builtin_types_compatible_p(actual, __VA_ARGS__), #actual " changed its type")
#define MEMBER(in, member, offset, ...)                    \
	SAME(offsetof(in, member), offset);                \
	TYPE(__typeof__(((in *)0)->member), __VA_ARGS__)

/* ---- profcore/artifact.h ---- */
/* struct pfc_string */
SAME(_Alignof(struct pfc_string), 8);
SAME(sizeof(struct pfc_string), 16);
MEMBER(struct pfc_string, data, 0, const char *);
MEMBER(struct pfc_string, bytes, 8, uint64_t);
SAME(sizeof(((struct pfc_string *)0)->data) + sizeof(((struct pfc_string *)0)->bytes), 16); /* no hole */
/* struct pfc_column */
SAME(_Alignof(struct pfc_column), 8);
AT_LEAST(sizeof(struct pfc_column), 24);
MEMBER(struct pfc_column, struct_size, 0, uint32_t);
MEMBER(struct pfc_column, type, 4, uint32_t);
MEMBER(struct pfc_column, name, 8, const char *);
MEMBER(struct pfc_column, unit, 16, const char *);
SAME(sizeof(((struct pfc_column *)0)->struct_size) + sizeof(((struct pfc_column *)0)->type) + sizeof(((struct pfc_column *)0)->name) + sizeof(((struct pfc_column *)0)->unit), 24); /* no hole */
/* struct pfc_table */
SAME(_Alignof(struct pfc_table), 8);
AT_LEAST(sizeof(struct pfc_table), 32);
MEMBER(struct pfc_table, struct_size, 0, uint32_t);
MEMBER(struct pfc_table, column_count, 4, uint32_t);
MEMBER(struct pfc_table, name, 8, const char *);
MEMBER(struct pfc_table, columns, 16, const struct pfc_column *);
MEMBER(struct pfc_table, column_stride, 24, uint32_t);
MEMBER(struct pfc_table, time_column, 28, int32_t);
SAME(sizeof(((struct pfc_table *)0)->struct_size) + sizeof(((struct pfc_table *)0)->column_count) + sizeof(((struct pfc_table *)0)->name) + sizeof(((struct pfc_table *)0)->columns) + sizeof(((struct pfc_table *)0)->column_stride) + sizeof(((struct pfc_table *)0)->time_column), 32); /* no hole */
/* struct pfc_writer */
SAME(_Alignof(struct pfc_writer), 8);
AT_LEAST(sizeof(struct pfc_writer), 64);
MEMBER(struct pfc_writer, struct_size, 0, uint32_t);
MEMBER(struct pfc_writer, reserved0, 4, uint32_t);
MEMBER(struct pfc_writer, ctx, 8, void *);
MEMBER(struct pfc_writer, declare, 16, int32_t (*)(void *ctx, const struct pfc_table *def));
MEMBER(struct pfc_writer, append, 24, int32_t (*)(void *ctx, uint32_t table, uint64_t row_count, const void *const *columns));
MEMBER(struct pfc_writer, write, 32, int32_t (*)(void *ctx, const void *data, uint64_t bytes));
MEMBER(struct pfc_writer, commit, 40, int32_t (*)(void *ctx));
MEMBER(struct pfc_writer, fact_number, 48, int32_t (*)(void *ctx, const char *key, double value));
MEMBER(struct pfc_writer, fact_text, 56, int32_t (*)(void *ctx, const char *key, const char *value));
SAME(sizeof(((struct pfc_writer *)0)->struct_size) + sizeof(((struct pfc_writer *)0)->reserved0) + sizeof(((struct pfc_writer *)0)->ctx) + sizeof(((struct pfc_writer *)0)->declare) + sizeof(((struct pfc_writer *)0)->append) + sizeof(((struct pfc_writer *)0)->write) + sizeof(((struct pfc_writer *)0)->commit) + sizeof(((struct pfc_writer *)0)->fact_number) + sizeof(((struct pfc_writer *)0)->fact_text), 64); /* no hole */
/* struct pfc_artifact */
SAME(_Alignof(struct pfc_artifact), 8);
AT_LEAST(sizeof(struct pfc_artifact), 56);
MEMBER(struct pfc_artifact, struct_size, 0, uint32_t);
MEMBER(struct pfc_artifact, partial, 4, uint32_t);
MEMBER(struct pfc_artifact, producer, 8, const char *);
MEMBER(struct pfc_artifact, port, 16, const char *);
MEMBER(struct pfc_artifact, type, 24, const char *);
MEMBER(struct pfc_artifact, signal, 32, const char *);
MEMBER(struct pfc_artifact, document_bytes, 40, uint64_t);
MEMBER(struct pfc_artifact, lost, 48, uint64_t);
SAME(sizeof(((struct pfc_artifact *)0)->struct_size) + sizeof(((struct pfc_artifact *)0)->partial) + sizeof(((struct pfc_artifact *)0)->producer) + sizeof(((struct pfc_artifact *)0)->port) + sizeof(((struct pfc_artifact *)0)->type) + sizeof(((struct pfc_artifact *)0)->signal) + sizeof(((struct pfc_artifact *)0)->document_bytes) + sizeof(((struct pfc_artifact *)0)->lost), 56); /* no hole */
/* struct pfc_table_view */
SAME(_Alignof(struct pfc_table_view), 8);
AT_LEAST(sizeof(struct pfc_table_view), 24);
MEMBER(struct pfc_table_view, struct_size, 0, uint32_t);
MEMBER(struct pfc_table_view, table, 4, uint32_t);
MEMBER(struct pfc_table_view, row_count, 8, uint64_t);
MEMBER(struct pfc_table_view, chunk_count, 16, uint32_t);
MEMBER(struct pfc_table_view, column_count, 20, uint32_t);
SAME(sizeof(((struct pfc_table_view *)0)->struct_size) + sizeof(((struct pfc_table_view *)0)->table) + sizeof(((struct pfc_table_view *)0)->row_count) + sizeof(((struct pfc_table_view *)0)->chunk_count) + sizeof(((struct pfc_table_view *)0)->column_count), 24); /* no hole */
/* struct pfc_column_view */
SAME(_Alignof(struct pfc_column_view), 8);
AT_LEAST(sizeof(struct pfc_column_view), 48);
MEMBER(struct pfc_column_view, struct_size, 0, uint32_t);
MEMBER(struct pfc_column_view, type, 4, uint32_t);
MEMBER(struct pfc_column_view, first_row, 8, uint64_t);
MEMBER(struct pfc_column_view, row_count, 16, uint64_t);
MEMBER(struct pfc_column_view, data, 24, const void *);
MEMBER(struct pfc_column_view, data_bytes, 32, uint64_t);
MEMBER(struct pfc_column_view, offsets, 40, const int32_t *);
SAME(sizeof(((struct pfc_column_view *)0)->struct_size) + sizeof(((struct pfc_column_view *)0)->type) + sizeof(((struct pfc_column_view *)0)->first_row) + sizeof(((struct pfc_column_view *)0)->row_count) + sizeof(((struct pfc_column_view *)0)->data) + sizeof(((struct pfc_column_view *)0)->data_bytes) + sizeof(((struct pfc_column_view *)0)->offsets), 48); /* no hole */
/* struct pfc_reader */
SAME(_Alignof(struct pfc_reader), 8);
AT_LEAST(sizeof(struct pfc_reader), 64);
MEMBER(struct pfc_reader, struct_size, 0, uint32_t);
MEMBER(struct pfc_reader, reserved0, 4, uint32_t);
MEMBER(struct pfc_reader, ctx, 8, void *);
MEMBER(struct pfc_reader, describe, 16, int32_t (*)(void *ctx, struct pfc_artifact *ret));
MEMBER(struct pfc_reader, table, 24, int32_t (*)(void *ctx, const char *name, struct pfc_table_view *ret));
MEMBER(struct pfc_reader, column, 32, int32_t (*)(void *ctx, uint32_t table, const char *name));
MEMBER(struct pfc_reader, view, 40, int32_t (*)(void *ctx, uint32_t table, uint32_t chunk, uint32_t column, struct pfc_column_view *ret));
MEMBER(struct pfc_reader, document, 48, int32_t (*)(void *ctx, const void **ret_data, uint64_t *ret_bytes));
MEMBER(struct pfc_reader, fact, 56, int32_t (*)(void *ctx, const char *key, double *ret_number, const char **ret_text));
SAME(sizeof(((struct pfc_reader *)0)->struct_size) + sizeof(((struct pfc_reader *)0)->reserved0) + sizeof(((struct pfc_reader *)0)->ctx) + sizeof(((struct pfc_reader *)0)->describe) + sizeof(((struct pfc_reader *)0)->table) + sizeof(((struct pfc_reader *)0)->column) + sizeof(((struct pfc_reader *)0)->view) + sizeof(((struct pfc_reader *)0)->document) + sizeof(((struct pfc_reader *)0)->fact), 64); /* no hole */
/* enum pfc_type */
SAME(PFC_U8, 1);
SAME(PFC_U16, 2);
SAME(PFC_U32, 3);
SAME(PFC_U64, 4);
SAME(PFC_I32, 5);
SAME(PFC_I64, 6);
SAME(PFC_F64, 7);
SAME(PFC_UTF8, 8);

/* ---- profcore/ext/draft/stacks.h ---- */
/* struct pfc_stacks_config */
SAME(_Alignof(struct pfc_stacks_config), 8);
AT_LEAST(sizeof(struct pfc_stacks_config), 64);
MEMBER(struct pfc_stacks_config, struct_size, 0, uint32_t);
MEMBER(struct pfc_stacks_config, flags, 4, uint32_t);
MEMBER(struct pfc_stacks_config, port, 8, const char *);
MEMBER(struct pfc_stacks_config, event, 16, const char *);
MEMBER(struct pfc_stacks_config, weight_unit, 24, const char *);
MEMBER(struct pfc_stacks_config, reserved, 32, uint64_t [4]);
SAME(sizeof(((struct pfc_stacks_config *)0)->struct_size) + sizeof(((struct pfc_stacks_config *)0)->flags) + sizeof(((struct pfc_stacks_config *)0)->port) + sizeof(((struct pfc_stacks_config *)0)->event) + sizeof(((struct pfc_stacks_config *)0)->weight_unit) + sizeof(((struct pfc_stacks_config *)0)->reserved), 64); /* no hole */
/* struct pfc_stack_sample */
SAME(_Alignof(struct pfc_stack_sample), 8);
AT_LEAST(sizeof(struct pfc_stack_sample), 104);
MEMBER(struct pfc_stack_sample, struct_size, 0, uint32_t);
MEMBER(struct pfc_stack_sample, flags, 4, uint32_t);
MEMBER(struct pfc_stack_sample, time_ns, 8, uint64_t);
MEMBER(struct pfc_stack_sample, weight, 16, uint64_t);
MEMBER(struct pfc_stack_sample, pid, 24, int32_t);
MEMBER(struct pfc_stack_sample, tid, 28, int32_t);
MEMBER(struct pfc_stack_sample, cpu, 32, int32_t);
MEMBER(struct pfc_stack_sample, kernel_ip_count, 36, uint32_t);
MEMBER(struct pfc_stack_sample, kernel_ips, 40, const uint64_t *);
MEMBER(struct pfc_stack_sample, user_ips, 48, const uint64_t *);
MEMBER(struct pfc_stack_sample, user_ip_count, 56, uint32_t);
MEMBER(struct pfc_stack_sample, reserved0, 60, uint32_t);
MEMBER(struct pfc_stack_sample, regs_mask, 64, uint64_t);
MEMBER(struct pfc_stack_sample, regs, 72, const uint64_t *);
MEMBER(struct pfc_stack_sample, stack, 80, const void *);
MEMBER(struct pfc_stack_sample, stack_bytes, 88, uint64_t);
MEMBER(struct pfc_stack_sample, walk_end, 96, uint32_t);
MEMBER(struct pfc_stack_sample, reserved1, 100, uint32_t);
SAME(sizeof(((struct pfc_stack_sample *)0)->struct_size) + sizeof(((struct pfc_stack_sample *)0)->flags) + sizeof(((struct pfc_stack_sample *)0)->time_ns) + sizeof(((struct pfc_stack_sample *)0)->weight) + sizeof(((struct pfc_stack_sample *)0)->pid) + sizeof(((struct pfc_stack_sample *)0)->tid) + sizeof(((struct pfc_stack_sample *)0)->cpu) + sizeof(((struct pfc_stack_sample *)0)->kernel_ip_count) + sizeof(((struct pfc_stack_sample *)0)->kernel_ips) + sizeof(((struct pfc_stack_sample *)0)->user_ips) + sizeof(((struct pfc_stack_sample *)0)->user_ip_count) + sizeof(((struct pfc_stack_sample *)0)->reserved0) + sizeof(((struct pfc_stack_sample *)0)->regs_mask) + sizeof(((struct pfc_stack_sample *)0)->regs) + sizeof(((struct pfc_stack_sample *)0)->stack) + sizeof(((struct pfc_stack_sample *)0)->stack_bytes) + sizeof(((struct pfc_stack_sample *)0)->walk_end) + sizeof(((struct pfc_stack_sample *)0)->reserved1), 104); /* no hole */
/* struct pfc_stack_use */
SAME(_Alignof(struct pfc_stack_use), 8);
AT_LEAST(sizeof(struct pfc_stack_use), 32);
MEMBER(struct pfc_stack_use, struct_size, 0, uint32_t);
MEMBER(struct pfc_stack_use, reserved0, 4, uint32_t);
MEMBER(struct pfc_stack_use, complete, 8, uint64_t);
MEMBER(struct pfc_stack_use, cut, 16, uint64_t);
MEMBER(struct pfc_stack_use, max_bytes, 24, uint64_t);
SAME(sizeof(((struct pfc_stack_use *)0)->struct_size) + sizeof(((struct pfc_stack_use *)0)->reserved0) + sizeof(((struct pfc_stack_use *)0)->complete) + sizeof(((struct pfc_stack_use *)0)->cut) + sizeof(((struct pfc_stack_use *)0)->max_bytes), 32); /* no hole */
/* struct pfc_stack_walk */
SAME(_Alignof(struct pfc_stack_walk), 8);
AT_LEAST(sizeof(struct pfc_stack_walk), 24);
MEMBER(struct pfc_stack_walk, struct_size, 0, uint32_t);
MEMBER(struct pfc_stack_walk, walk_end, 4, uint32_t);
MEMBER(struct pfc_stack_walk, ips, 8, uint64_t *);
MEMBER(struct pfc_stack_walk, room, 16, uint32_t);
MEMBER(struct pfc_stack_walk, count, 20, uint32_t);
SAME(sizeof(((struct pfc_stack_walk *)0)->struct_size) + sizeof(((struct pfc_stack_walk *)0)->walk_end) + sizeof(((struct pfc_stack_walk *)0)->ips) + sizeof(((struct pfc_stack_walk *)0)->room) + sizeof(((struct pfc_stack_walk *)0)->count), 24); /* no hole */
/* struct pfc_stacks */
SAME(_Alignof(struct pfc_stacks), 8);
AT_LEAST(sizeof(struct pfc_stacks), 96);
MEMBER(struct pfc_stacks, struct_size, 0, uint32_t);
MEMBER(struct pfc_stacks, reserved0, 4, uint32_t);
MEMBER(struct pfc_stacks, ctx, 8, void *);
MEMBER(struct pfc_stacks, open, 16, int32_t (*)(void *ctx, const struct pfc_stacks_config *config, struct pfc_stacks_session **ret));
MEMBER(struct pfc_stacks, add, 24, int32_t (*)(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample));
MEMBER(struct pfc_stacks, tick, 32, int32_t (*)(struct pfc_stacks_session *session, uint64_t complete_ns));
MEMBER(struct pfc_stacks, finish, 40, int32_t (*)(struct pfc_stacks_session *session));
MEMBER(struct pfc_stacks, close, 48, void (*)(struct pfc_stacks_session *session));
MEMBER(struct pfc_stacks, sample_count, 56, uint64_t (*)(const struct pfc_stacks_session *session));
MEMBER(struct pfc_stacks, stack_use, 64, int32_t (*)(const struct pfc_stacks_session *session, struct pfc_stack_use *ret));
MEMBER(struct pfc_stacks, walk, 72, int32_t (*)(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample, struct pfc_stack_walk *ret));
MEMBER(struct pfc_stacks, intern, 80, int32_t (*)(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample, uint32_t *ret_stack));
MEMBER(struct pfc_stacks, name, 88, int32_t (*)(const struct pfc_stacks_session *session, uint32_t stack, uint32_t frame, const char **ret_function, const char **ret_module));
SAME(sizeof(((struct pfc_stacks *)0)->struct_size) + sizeof(((struct pfc_stacks *)0)->reserved0) + sizeof(((struct pfc_stacks *)0)->ctx) + sizeof(((struct pfc_stacks *)0)->open) + sizeof(((struct pfc_stacks *)0)->add) + sizeof(((struct pfc_stacks *)0)->tick) + sizeof(((struct pfc_stacks *)0)->finish) + sizeof(((struct pfc_stacks *)0)->close) + sizeof(((struct pfc_stacks *)0)->sample_count) + sizeof(((struct pfc_stacks *)0)->stack_use) + sizeof(((struct pfc_stacks *)0)->walk) + sizeof(((struct pfc_stacks *)0)->intern) + sizeof(((struct pfc_stacks *)0)->name), 96); /* no hole */
/* enum pfc_stack_flags */
SAME(PFC_STACK_KERNEL_TRUNCATED, 1);
SAME(PFC_STACK_USER_TRUNCATED, 2);
SAME(PFC_STACK_CALLERS, 4);
SAME(PFC_STACK_WALKED, 8);
SAME(PFC_STACK_FRESH, 16);

/* ---- profcore/ext/draft/target.h ---- */
/* struct pfc_target_event */
SAME(_Alignof(struct pfc_target_event), 8);
AT_LEAST(sizeof(struct pfc_target_event), 80);
MEMBER(struct pfc_target_event, struct_size, 0, uint32_t);
MEMBER(struct pfc_target_event, kind, 4, uint32_t);
MEMBER(struct pfc_target_event, time_ns, 8, uint64_t);
MEMBER(struct pfc_target_event, pid, 16, int32_t);
MEMBER(struct pfc_target_event, tid, 20, int32_t);
MEMBER(struct pfc_target_event, ppid, 24, int32_t);
MEMBER(struct pfc_target_event, generation, 28, uint32_t);
MEMBER(struct pfc_target_event, start, 32, uint64_t);
MEMBER(struct pfc_target_event, length, 40, uint64_t);
MEMBER(struct pfc_target_event, offset, 48, uint64_t);
MEMBER(struct pfc_target_event, inode, 56, uint64_t);
MEMBER(struct pfc_target_event, dev_major, 64, uint32_t);
MEMBER(struct pfc_target_event, dev_minor, 68, uint32_t);
MEMBER(struct pfc_target_event, text, 72, const char *);
SAME(sizeof(((struct pfc_target_event *)0)->struct_size) + sizeof(((struct pfc_target_event *)0)->kind) + sizeof(((struct pfc_target_event *)0)->time_ns) + sizeof(((struct pfc_target_event *)0)->pid) + sizeof(((struct pfc_target_event *)0)->tid) + sizeof(((struct pfc_target_event *)0)->ppid) + sizeof(((struct pfc_target_event *)0)->generation) + sizeof(((struct pfc_target_event *)0)->start) + sizeof(((struct pfc_target_event *)0)->length) + sizeof(((struct pfc_target_event *)0)->offset) + sizeof(((struct pfc_target_event *)0)->inode) + sizeof(((struct pfc_target_event *)0)->dev_major) + sizeof(((struct pfc_target_event *)0)->dev_minor) + sizeof(((struct pfc_target_event *)0)->text), 80); /* no hole */
/* struct pfc_target_service */
SAME(_Alignof(struct pfc_target_service), 8);
AT_LEAST(sizeof(struct pfc_target_service), 48);
MEMBER(struct pfc_target_service, struct_size, 0, uint32_t);
MEMBER(struct pfc_target_service, reserved0, 4, uint32_t);
MEMBER(struct pfc_target_service, ctx, 8, void *);
MEMBER(struct pfc_target_service, fd, 16, int32_t (*)(void *ctx));
MEMBER(struct pfc_target_service, next, 24, int32_t (*)(void *ctx, struct pfc_target_event *ret));
MEMBER(struct pfc_target_service, open_mapped, 32, int32_t (*)(void *ctx, const struct pfc_target_event *map));
MEMBER(struct pfc_target_service, open_related, 40, int32_t (*)(void *ctx, const struct pfc_target_event *map, uint32_t kind, const char *name));
SAME(sizeof(((struct pfc_target_service *)0)->struct_size) + sizeof(((struct pfc_target_service *)0)->reserved0) + sizeof(((struct pfc_target_service *)0)->ctx) + sizeof(((struct pfc_target_service *)0)->fd) + sizeof(((struct pfc_target_service *)0)->next) + sizeof(((struct pfc_target_service *)0)->open_mapped) + sizeof(((struct pfc_target_service *)0)->open_related), 48); /* no hole */
/* enum pfc_target_event_kind */
SAME(PFC_TARGET_FORK, 1);
SAME(PFC_TARGET_EXEC, 2);
SAME(PFC_TARGET_NAME, 3);
SAME(PFC_TARGET_EXIT, 4);
SAME(PFC_TARGET_MAP, 5);
SAME(PFC_TARGET_SYNC, 6);
SAME(PFC_TARGET_LOST, 7);
/* enum pfc_target_related */
SAME(PFC_TARGET_DEBUG_BUILD_ID, 1);
SAME(PFC_TARGET_DEBUG_BESIDE, 2);
SAME(PFC_TARGET_DEBUG_BELOW, 3);
SAME(PFC_TARGET_DEBUG_GLOBAL, 4);
SAME(PFC_TARGET_PERF_MAP, 5);

/* ---- profcore/host.h ---- */
/* struct pfc_value */
SAME(_Alignof(struct pfc_value), 8);
AT_LEAST(sizeof(struct pfc_value), 48);
MEMBER(struct pfc_value, struct_size, 0, uint32_t);
MEMBER(struct pfc_value, type, 4, uint32_t);
MEMBER(struct pfc_value, integer, 8, int64_t);
MEMBER(struct pfc_value, real, 16, double);
MEMBER(struct pfc_value, text, 24, const char *);
MEMBER(struct pfc_value, items, 32, const char *const *);
MEMBER(struct pfc_value, item_count, 40, uint32_t);
MEMBER(struct pfc_value, is_set, 44, uint32_t);
SAME(sizeof(((struct pfc_value *)0)->struct_size) + sizeof(((struct pfc_value *)0)->type) + sizeof(((struct pfc_value *)0)->integer) + sizeof(((struct pfc_value *)0)->real) + sizeof(((struct pfc_value *)0)->text) + sizeof(((struct pfc_value *)0)->items) + sizeof(((struct pfc_value *)0)->item_count) + sizeof(((struct pfc_value *)0)->is_set), 48); /* no hole */
/* struct pfc_target */
SAME(_Alignof(struct pfc_target), 8);
AT_LEAST(sizeof(struct pfc_target), 48);
MEMBER(struct pfc_target, struct_size, 0, uint32_t);
MEMBER(struct pfc_target, reserved0, 4, uint32_t);
MEMBER(struct pfc_target, kind, 8, const char *);
MEMBER(struct pfc_target, name, 16, const char *);
MEMBER(struct pfc_target, pids, 24, const int32_t *);
MEMBER(struct pfc_target, pid_count, 32, uint32_t);
MEMBER(struct pfc_target, held, 36, uint32_t);
MEMBER(struct pfc_target, cgroup_path, 40, const char *);
SAME(sizeof(((struct pfc_target *)0)->struct_size) + sizeof(((struct pfc_target *)0)->reserved0) + sizeof(((struct pfc_target *)0)->kind) + sizeof(((struct pfc_target *)0)->name) + sizeof(((struct pfc_target *)0)->pids) + sizeof(((struct pfc_target *)0)->pid_count) + sizeof(((struct pfc_target *)0)->held) + sizeof(((struct pfc_target *)0)->cgroup_path), 48); /* no hole */
/* struct pfc_window */
SAME(_Alignof(struct pfc_window), 8);
AT_LEAST(sizeof(struct pfc_window), 32);
MEMBER(struct pfc_window, struct_size, 0, uint32_t);
MEMBER(struct pfc_window, reserved0, 4, uint32_t);
MEMBER(struct pfc_window, t0_ns, 8, uint64_t);
MEMBER(struct pfc_window, t1_ns, 16, uint64_t);
MEMBER(struct pfc_window, duration_ns, 24, uint64_t);
SAME(sizeof(((struct pfc_window *)0)->struct_size) + sizeof(((struct pfc_window *)0)->reserved0) + sizeof(((struct pfc_window *)0)->t0_ns) + sizeof(((struct pfc_window *)0)->t1_ns) + sizeof(((struct pfc_window *)0)->duration_ns), 32); /* no hole */
/* struct pfc_host */
SAME(_Alignof(struct pfc_host), 8);
AT_LEAST(sizeof(struct pfc_host), 144);
MEMBER(struct pfc_host, struct_size, 0, uint32_t);
MEMBER(struct pfc_host, abi_minor, 4, uint32_t);
MEMBER(struct pfc_host, ctx, 8, void *);
MEMBER(struct pfc_host, log, 16, void (*)(void *ctx, uint32_t level, const char *text));
MEMBER(struct pfc_host, fail, 24, int32_t (*)(void *ctx, int32_t status, const char *what, const char *why, const char *hint));
MEMBER(struct pfc_host, option, 32, int32_t (*)(void *ctx, const char *key, struct pfc_value *ret));
MEMBER(struct pfc_host, text, 40, const char * (*)(void *ctx, uint32_t which));
MEMBER(struct pfc_host, now, 48, uint64_t (*)(void *ctx));
MEMBER(struct pfc_host, stop_fd, 56, int32_t (*)(void *ctx));
MEMBER(struct pfc_host, window, 64, int32_t (*)(void *ctx, struct pfc_window *ret));
MEMBER(struct pfc_host, target, 72, int32_t (*)(void *ctx, struct pfc_target *ret));
MEMBER(struct pfc_host, target_env, 80, int32_t (*)(void *ctx, const char *name, const char *value));
MEMBER(struct pfc_host, output, 88, int32_t (*)(void *ctx, const char *port, const struct pfc_writer **ret));
MEMBER(struct pfc_host, input_count, 96, uint32_t (*)(void *ctx, const char *port));
MEMBER(struct pfc_host, input, 104, int32_t (*)(void *ctx, const char *port, uint32_t index, const struct pfc_reader **ret));
MEMBER(struct pfc_host, loss, 112, int32_t (*)(void *ctx, const char *port, const char *cause, uint64_t count));
MEMBER(struct pfc_host, metric, 120, int32_t (*)(void *ctx, const char *name, double value));
MEMBER(struct pfc_host, gate, 128, int32_t (*)(void *ctx, const char *expression, uint32_t verdict, const char *detail));
MEMBER(struct pfc_host, extension, 136, const void * (*)(void *ctx, const char *id));
SAME(sizeof(((struct pfc_host *)0)->struct_size) + sizeof(((struct pfc_host *)0)->abi_minor) + sizeof(((struct pfc_host *)0)->ctx) + sizeof(((struct pfc_host *)0)->log) + sizeof(((struct pfc_host *)0)->fail) + sizeof(((struct pfc_host *)0)->option) + sizeof(((struct pfc_host *)0)->text) + sizeof(((struct pfc_host *)0)->now) + sizeof(((struct pfc_host *)0)->stop_fd) + sizeof(((struct pfc_host *)0)->window) + sizeof(((struct pfc_host *)0)->target) + sizeof(((struct pfc_host *)0)->target_env) + sizeof(((struct pfc_host *)0)->output) + sizeof(((struct pfc_host *)0)->input_count) + sizeof(((struct pfc_host *)0)->input) + sizeof(((struct pfc_host *)0)->loss) + sizeof(((struct pfc_host *)0)->metric) + sizeof(((struct pfc_host *)0)->gate) + sizeof(((struct pfc_host *)0)->extension), 144); /* no hole */
/* enum pfc_log_level */
SAME(PFC_LOG_ERROR, 1);
SAME(PFC_LOG_WARNING, 2);
SAME(PFC_LOG_INFO, 3);
SAME(PFC_LOG_DEBUG, 4);
SAME(PFC_LOG_NOTICE, 5);
/* enum pfc_verdict */
SAME(PFC_GATE_PASS, 1);
SAME(PFC_GATE_FAIL, 2);
SAME(PFC_GATE_INCONCLUSIVE, 3);
/* enum pfc_value_type */
SAME(PFC_VALUE_INT, 1);
SAME(PFC_VALUE_FLOAT, 2);
SAME(PFC_VALUE_BOOL, 3);
SAME(PFC_VALUE_STRING, 4);
SAME(PFC_VALUE_ENUM, 5);
SAME(PFC_VALUE_DURATION, 6);
SAME(PFC_VALUE_SIZE, 7);
SAME(PFC_VALUE_LIST, 8);
/* enum pfc_text */
SAME(PFC_TEXT_STAGE, 1);
SAME(PFC_TEXT_PLUGIN_DIR, 2);
SAME(PFC_TEXT_RUN_ID, 3);
SAME(PFC_TEXT_RUN_NAME, 4);
TYPE(__typeof__(pfc_option_int), int64_t (const struct pfc_host *host, const char *key, int64_t missing));
TYPE(__typeof__(pfc_option_real), double (const struct pfc_host *host, const char *key, double missing));
TYPE(__typeof__(pfc_option_text), const char * (const struct pfc_host *host, const char *key, const char *missing));

/* ---- profcore/plugin.h ---- */
/* struct pfc_plugin */
SAME(_Alignof(struct pfc_plugin), 8);
AT_LEAST(sizeof(struct pfc_plugin), 80);
MEMBER(struct pfc_plugin, struct_size, 0, uint32_t);
MEMBER(struct pfc_plugin, reserved0, 4, uint32_t);
MEMBER(struct pfc_plugin, create, 8, int32_t (*)(const struct pfc_host *host, void **ret_self));
MEMBER(struct pfc_plugin, probe, 16, int32_t (*)(void *self));
MEMBER(struct pfc_plugin, prepare, 24, int32_t (*)(void *self));
MEMBER(struct pfc_plugin, start, 32, int32_t (*)(void *self, uint64_t t0_ns));
MEMBER(struct pfc_plugin, run, 40, int32_t (*)(void *self));
MEMBER(struct pfc_plugin, stop, 48, int32_t (*)(void *self, uint64_t t1_ns));
MEMBER(struct pfc_plugin, finish, 56, int32_t (*)(void *self));
MEMBER(struct pfc_plugin, process, 64, int32_t (*)(void *self));
MEMBER(struct pfc_plugin, destroy, 72, void (*)(void *self));
SAME(sizeof(((struct pfc_plugin *)0)->struct_size) + sizeof(((struct pfc_plugin *)0)->reserved0) + sizeof(((struct pfc_plugin *)0)->create) + sizeof(((struct pfc_plugin *)0)->probe) + sizeof(((struct pfc_plugin *)0)->prepare) + sizeof(((struct pfc_plugin *)0)->start) + sizeof(((struct pfc_plugin *)0)->run) + sizeof(((struct pfc_plugin *)0)->stop) + sizeof(((struct pfc_plugin *)0)->finish) + sizeof(((struct pfc_plugin *)0)->process) + sizeof(((struct pfc_plugin *)0)->destroy), 80); /* no hole */
TYPE(pfc_plugin_entry, const struct pfc_plugin * (*)(const struct pfc_host *host));
TYPE(__typeof__(pfc_plugin_v1), const struct pfc_plugin * (const struct pfc_host *host));

/* ---- profcore/profcore.h ---- */

/* ---- profcore/status.h ---- */
/* enum pfc_status */
SAME(PFC_OK, 0);
SAME(PFC_EINVAL, -1);
SAME(PFC_ENOMEM, -2);
SAME(PFC_EIO, -3);
SAME(PFC_ENOSPC, -4);
SAME(PFC_EPERM, -5);
SAME(PFC_ENOTSUP, -6);
SAME(PFC_ENOENT, -7);
SAME(PFC_ETARGET, -8);
SAME(PFC_ENODATA, -9);
SAME(PFC_ETIMEDOUT, -10);
SAME(PFC_ECANCELED, -11);
SAME(PFC_ECORRUPT, -12);
SAME(PFC_EPROTO, -13);
SAME(PFC_EAGAIN, -14);
SAME(PFC_ELOST, -15);

/* ---- profcore/version.h ---- */

/* Macros, expanded. */
#define TEXT_OF(...) #__VA_ARGS__
#define TEXT(...) TEXT_OF(__VA_ARGS__)

/* Spaces aside: compilers differ in them. */
static int differs(const char *actual, const char *locked)
{
	for (;; actual++, locked++) {
		actual += strspn(actual, " ");
		locked += strspn(locked, " ");
		if (*actual != *locked) {
			return 1;
		}
		if (*actual == '\0') {
			return 0;
		}
	}
}

int main(void)
{
	int changed = 0;

	changed |= differs(TEXT(PFC_EXT_STACKS),
			   "\"profcore.stacks/1\"");
	changed |= differs(TEXT(PFC_EXT_TARGET),
			   "\"profcore.target/1\"");
	changed |= differs(TEXT(PFC_HAS(ptr, member)),
			   "((ptr)->struct_size >= (uint32_t)((const char *)(&(ptr)->member + 1) - (const char *)(ptr)) && (ptr)->member != 0)");
	changed |= differs(TEXT(PFC_HOST_FOUNDING_BYTES),
			   "((uint32_t)(__builtin_offsetof (struct pfc_host, extension) + sizeof(void *)))");
	changed |= differs(TEXT(PFC_PLUGIN_ENTRY),
			   "\"pfc_plugin_v1\"");
	changed |= differs(TEXT(PFC_MANIFEST_SECTION),
			   "\".profcore\"");
	changed |= differs(TEXT(PFC_EXPORT),
			   "__attribute__((visibility(\"default\")))");
	changed |= differs(TEXT(PFC_MANIFEST(path)),
			   "__asm__(\".pushsection \" \".profcore\" \",\\\"aR\\\",@progbits\\n\" \".incbin \\\"\" path \"\\\"\\n\" \".byte 0\\n\" \".popsection\\n\")");
	changed |= differs(TEXT(PFC_ABI_MAJOR),
			   "1");
	return changed;
}
