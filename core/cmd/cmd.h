/* SPDX-License-Identifier: MIT */
/*
 * The subcommands, one file each. argv[0] is the command's word; the return value is the exit code: 0 complete, 1 a stage
 * failed or a result is invalid, 2 usage or config, 3 no such target, 4 the environment refuses, 5 no data, 99 a gate failed.
 * Data goes to stdout, talk to stderr.
 */
#ifndef CORE_CMD_CMD_H
#define CORE_CMD_CMD_H

/** `check -c FILE`: is the config right? --explain: each value and where it comes from. */
int cmd_check(int argc, char **argv);

/** `plugin list`, `plugin inspect ID|PATH`: what the manifests say. */
int cmd_plugin(int argc, char **argv);

#endif
