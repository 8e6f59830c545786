/* SPDX-License-Identifier: MIT */
/* The core's own options: those of [run], of [target], and the keys that every stage has. */
#include "config/options.h"

static char *no_values[] = { NULL };
static char *on_restart_values[] = { (char *)"follow", (char *)"stop", NULL };
static char *on_failure_values[] = { (char *)"degrade", (char *)"abort", NULL };

#define OPTION(option_name, option_type, option_default, option_help)                                        \
	.name = (char *)(option_name), .type = (option_type), .default_text = (char *)(option_default),      \
	.unit = (char *)"", .help = (char *)(option_help)

static const struct manifest_option run_options[] = {
	{ OPTION("name", PFC_VALUE_STRING, "",
		 "name of the run, part of its folder's name; default: the file's name"),
	  .values = no_values },
	{ OPTION("duration", PFC_VALUE_DURATION, "10s", "length of the window"), .values = no_values,
	  .has_min = true, .min = 1e6 },
	{ OPTION("output", PFC_VALUE_STRING, "profiling", "folder of runs"), .values = no_values },
	{ OPTION("include", PFC_VALUE_LIST, "", "files to read before this one, relative to it"),
	  .values = no_values },
	{ OPTION("lead", PFC_VALUE_DURATION, "20ms", "time from the last stage's readiness to T0"),
	  .values = no_values, .has_max = true, .max = 60e9 },
	{ OPTION("deadline", PFC_VALUE_DURATION, "30s", "limit of each phase of a stage outside the window"),
	  .values = no_values, .has_min = true, .min = 1e6 },
	{ OPTION("cache", PFC_VALUE_BOOL, "yes",
		 "keep names of functions for the next run, in ~/.cache/profcore"),
	  .values = no_values },
};

static const struct manifest_option target_options[] = {
	{ OPTION("command", PFC_VALUE_STRING, "", "program to launch with its words; no shell"),
	  .values = no_values },
	{ OPTION("pid", PFC_VALUE_INT, "", "a process by its id"), .values = no_values, .has_min = true,
	  .min = 1, .has_max = true, .max = 4194304 /* PID_MAX_LIMIT of Linux */ },
	{ OPTION("process", PFC_VALUE_STRING, "", "a process by its name; in a container: only this program"),
	  .values = no_values },
	{ OPTION("container", PFC_VALUE_STRING, "", "a container by name or id"), .values = no_values },
	{ OPTION("compose-service", PFC_VALUE_STRING, "", "the container of a Compose service"),
	  .values = no_values },
	{ OPTION("compose-project", PFC_VALUE_STRING, "",
		 "the Compose project, where several have such a service"),
	  .values = no_values },
	{ OPTION("cgroup", PFC_VALUE_STRING, "", "a control group's folder"), .values = no_values },
	{ OPTION("image", PFC_VALUE_STRING, "", "the container that runs this image"), .values = no_values },
	{ OPTION("engine", PFC_VALUE_STRING, "",
		 "socket of the container engine; default: $DOCKER_HOST, else Docker's, Podman's, containerd's"),
	  .values = no_values },
	{ OPTION("pod", PFC_VALUE_STRING, "", "a pod of Kubernetes on this node: NAMESPACE/NAME"), .values = no_values },
	{ OPTION("system", PFC_VALUE_BOOL, "no", "the whole machine"), .values = no_values },
	{ OPTION("ready", PFC_VALUE_STRING, "",
		 "when a launched command is ready: URL, tcp:PORT or a duration"),
	  .values = no_values },
	{ OPTION("ready_timeout", PFC_VALUE_DURATION, "10s", "limit of the wait for `ready`"),
	  .values = no_values },
	{ OPTION("stop_timeout", PFC_VALUE_DURATION, "5s", "SIGTERM to SIGKILL for a launched command"),
	  .values = no_values },
	{ OPTION("directory", PFC_VALUE_STRING, "", "working folder of a launched command"),
	  .values = no_values },
	{ OPTION("on_restart", PFC_VALUE_ENUM, "follow",
		 "when the target restarts: follow it, or end the window"),
	  .values = on_restart_values },
};

static const struct manifest_option stage_options[] = {
	{ OPTION("use", PFC_VALUE_STRING, "", "plugin id or path of a .so; default: the stage's name"),
	  .values = no_values },
	{ OPTION("enabled", PFC_VALUE_BOOL, "yes", "no: leave the stage out"), .values = no_values },
	{ OPTION("on_failure", PFC_VALUE_ENUM, "degrade",
		 "when the stage fails: go on without it, or end the run"),
	  .values = on_failure_values },
};

const struct manifest_option *options_of_run(size_t *ret_count)
{
	*ret_count = sizeof(run_options) / sizeof(run_options[0]);
	return run_options;
}

const struct manifest_option *options_of_target(size_t *ret_count)
{
	*ret_count = sizeof(target_options) / sizeof(target_options[0]);
	return target_options;
}

const struct manifest_option *options_of_stage(size_t *ret_count)
{
	*ret_count = sizeof(stage_options) / sizeof(stage_options[0]);
	return stage_options;
}

const char *const *options_stage_reserved(void)
{
	static const char *const reserved[] = { "use", "enabled", "on_failure", "input.", NULL };

	return reserved;
}
