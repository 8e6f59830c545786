/* SPDX-License-Identifier: MIT */
/* The face of the stack service: checks at the border, then session.c. */
#include "stacks/stacks.h"

#include <stdlib.h>

#include "stacks/session.h"

struct stacks_service {
	struct pfc_stacks face;
	const struct pfc_host *host;
	struct session_stream stream;
	struct kernel kernel; /* read with the first session, for all of them */
	bool has_kernel;
};

static int32_t face_open(void *ctx, const struct pfc_stacks_config *config, struct pfc_stacks_session **ret)
{
	struct stacks_service *service = ctx;

	if (service == NULL || ret == NULL) {
		return PFC_EINVAL;
	}
	if (!service->has_kernel) {
		kernel_open(&service->kernel);
		service->has_kernel = true;
	}
	return session_open(service->host, &service->stream, &service->kernel, config, ret);
}

static int32_t face_add(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample)
{
	return session != NULL && sample != NULL ? session_add(session, sample) : PFC_EINVAL;
}

static int32_t face_tick(struct pfc_stacks_session *session, uint64_t complete_ns)
{
	return session != NULL ? session_tick(session, complete_ns) : PFC_EINVAL;
}

static int32_t face_finish(struct pfc_stacks_session *session)
{
	return session != NULL ? session_finish(session) : PFC_EINVAL;
}

static void face_close(struct pfc_stacks_session *session)
{
	session_close(session);
}

static uint64_t face_sample_count(const struct pfc_stacks_session *session)
{
	return session != NULL ? session_sample_count(session) : 0;
}

#ifdef __x86_64__
static int32_t face_stack_use(const struct pfc_stacks_session *session, struct pfc_stack_use *ret)
{
	if (session == NULL || ret == NULL || ret->struct_size < sizeof(*ret)) {
		return PFC_EINVAL;
	}
	session_stack_use(session, ret);
	return 0;
}

static int32_t face_intern(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample,
			   uint32_t *ret_stack)
{
	return session != NULL && sample != NULL && ret_stack != NULL
		       ? session_intern(session, sample, ret_stack)
		       : PFC_EINVAL;
}

static int32_t face_name(const struct pfc_stacks_session *session, uint32_t stack, uint32_t frame,
			 const char **ret_function, const char **ret_module)
{
	if (session == NULL || ret_function == NULL || ret_module == NULL) {
		return PFC_ENOENT;
	}
	/* The index of names is made when it is first wanted. */
	return session_name((struct pfc_stacks_session *)session, stack, frame, ret_function, ret_module);
}

static int32_t face_walk(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample,
			 struct pfc_stack_walk *ret)
{
	if (session == NULL || sample == NULL || ret == NULL || ret->struct_size < sizeof(*ret) ||
	    ret->ips == NULL) {
		return PFC_EINVAL;
	}
	return session_walk(session, sample, ret);
}
#else
#define face_stack_use NULL
#define face_walk      NULL
#define face_intern    NULL
#define face_name      NULL
#endif

int stacks_service_create(const struct pfc_host *host, const struct pfc_target_service *target,
			  struct stacks_service **ret, struct pfc_error *err)
{
	struct stacks_service *service = calloc(1, sizeof(*service));

	if (service == NULL) {
		return error_nomem(err);
	}
	service->host = host;
	service->stream.target = target;
	service->stream.cache_folder = -1;
	service->face = (struct pfc_stacks){ .struct_size = sizeof(service->face),
					     .ctx = service,
					     .open = face_open,
					     .add = face_add,
					     .tick = face_tick,
					     .finish = face_finish,
					     .close = face_close,
					     .sample_count = face_sample_count,
					     .stack_use = face_stack_use,
					     .walk = face_walk,
					     .intern = face_intern,
					     .name = face_name };
	*ret = service;
	return 0;
}

void stacks_service_set_cache(struct stacks_service *service, int folder)
{
	service->stream.cache_folder = folder;
}

const struct pfc_stacks *stacks_service_face(struct stacks_service *service)
{
	return &service->face;
}

void stacks_service_destroy(struct stacks_service *service)
{
	if (service != NULL && service->has_kernel) {
		kernel_close(&service->kernel);
	}
	free(service);
}
