/* SPDX-License-Identifier: MIT */
#include "stacks/dwarf_chains.h"

#include <dwarf.h>
#include <stdlib.h>

#include <profcore/status.h>

#include "base/clock.h"
#include "stacks/addresses.h"
#include "stacks/dwarf_libdw.h"
#include "stacks/hash.h"

#define CHECK_EVERY 1024 /* entries between looks at the clock */

bool dwarf_is_late(struct batch *batch)
{
	if (batch->status == 0 && ++batch->entries % CHECK_EVERY == 0 &&
	    clock_now() > batch->request->deadline_ns) {
		batch->status = PFC_ETIMEDOUT;
	}
	return batch->status != 0;
}

/* Give the next unit every address of its ranges that no unit has yet. False: there was none. */
static bool claim_addresses(struct batch *batch, struct unit *unit)
{
	const struct dwarf_request *request = batch->request;
	Dwarf_Addr base, start, end;
	ptrdiff_t offset = 0;

	unit->first = UINT32_MAX;
	while (!dwarf_is_late(batch) &&
	       (offset = dwarf_ranges(&unit->die, offset, &base, &start, &end)) > 0) {
		for (uint32_t i = addresses_first(request->addresses, request->count, start);
		     i < request->count && request->addresses[i] < end; i++) {
			if (batch->places[i].unit == UINT32_MAX && !batch->is_done[i]) {
				batch->places[i].unit = batch->unit_count;
				batch->places[i].next = unit->first;
				unit->first = i;
			}
		}
	}
	return unit->first != UINT32_MAX;
}

static void find_units(struct batch *batch)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Half version;
	uint8_t type;
	struct unit found;

	while (!dwarf_is_late(batch) &&
	       dwarf_get_units(batch->dwarf, unit, &unit, &version, &type, &found.die, NULL) == 0) {
		if (type == DW_UT_type || type == DW_UT_split_type || !claim_addresses(batch, &found)) {
			continue;
		}
		if (array_reserve(&batch->units, &batch->unit_room, (uint64_t)batch->unit_count + 1,
				  sizeof(*batch->units)) != 0) {
			batch->status = PFC_ENOMEM;
			return;
		}
		batch->units[batch->unit_count++] = found;
	}
}

static const char *unit_directory(Dwarf_Die *unit)
{
	Dwarf_Attribute attribute;

	return dwarf_attr(unit, DW_AT_comp_dir, &attribute) != NULL ? dwarf_formstring(&attribute) : NULL;
}

static bool lacks_scope(const struct batch *batch)
{
	uint32_t i = batch->units[batch->unit].first;

	while (i != UINT32_MAX && batch->places[i].scope != 0) {
		i = batch->places[i].next;
	}
	return i != UINT32_MAX;
}

static void walk_units(struct batch *batch)
{
	struct scope none = { .parent = 0 };

	for (batch->unit = 0; batch->unit < batch->unit_count && batch->status == 0; batch->unit++) {
		if (array_reserve(&batch->scopes, &batch->scope_room, 1, sizeof(none)) != 0) {
			batch->status = PFC_ENOMEM;
			return;
		}
		batch->directory = unit_directory(&batch->units[batch->unit].die);
		batch->scopes[0] = none;
		batch->scope_count = 1;
		dwarf_walk_unit(batch, false);
		if (lacks_scope(batch)) {
			dwarf_walk_unit(batch, true);
		}
		for (uint32_t i = batch->units[batch->unit].first; i != UINT32_MAX && !dwarf_is_late(batch);
		     i = batch->places[i].next) {
			batch->status = dwarf_report(batch, i);
		}
	}
}

static int resolve(struct batch *batch)
{
	const struct dwarf_request *request = batch->request;

	batch->places = calloc(request->count > 0 ? request->count : 1, sizeof(*batch->places));
	if (batch->places == NULL) {
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < request->count; i++) {
		batch->places[i].unit = UINT32_MAX;
	}
	find_units(batch);
	walk_units(batch);
	return batch->status;
}

int dwarf_libdw_resolve(const struct dwarf_request *request, const bool *is_done)
{
	struct batch batch = { .request = request, .is_done = is_done };
	struct dwarf_common common = { .fd = -1 };
	Elf *elf;
	int status;

	elf_version(EV_CURRENT);
	elf = dwarf_open_image(&request->image);
	if (elf == NULL) {
		return PFC_ECORRUPT;
	}
	status = dwarf_check_sections(elf);
	if (status == 0) {
		batch.dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
		status = batch.dwarf != NULL ? dwarf_set_common(&batch, &common) : PFC_ECORRUPT;
	}
	if (status == 0) {
		status = resolve(&batch);
	}
	free(batch.places);
	free(batch.units);
	free(batch.scopes);
	dwarf_end(batch.dwarf);
	dwarf_close_common(&common);
	elf_end(elf);
	return status;
}
