/* SPDX-License-Identifier: MIT */
#include "stacks/dwarf.h"

#include <stdlib.h>

#include <profcore/status.h>

#include "stacks/dwarf_chains.h"

int dwarf_resolve(const struct dwarf_request *request)
{
	bool *is_done = calloc(request->count > 0 ? request->count : 1, sizeof(*is_done));
	int status = is_done != NULL ? dwarf_chains_resolve(request, is_done) : PFC_ENOMEM;

	if (status == PFC_ENOTSUP || status == PFC_ECORRUPT || status == PFC_ENOSPC) {
		status = dwarf_libdw_resolve(request, is_done);
	}
	free(is_done);
	return status;
}
