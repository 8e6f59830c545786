/* SPDX-License-Identifier: MIT */
/* What load_fixture.c and test_load.c agree on. */
#ifndef TESTS_UNIT_LOAD_FIXTURE_H
#define TESTS_UNIT_LOAD_FIXTURE_H

#include <profcore/plugin.h>

#define LOAD_ROOM         8192
#define LOAD_RETURNS_NULL 0xffffffffu
#define LOAD_CREATE_SAYS  (-77)

#endif
