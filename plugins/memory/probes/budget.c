/* SPDX-License-Identifier: MIT */
#include "budget.h"

#define SLICE_NS 20e6 /* a slice should last so long, if it can */
#define START_NS 1e9  /* what the target computes in so long is given beforehand */
#define IDLE     0.1  /* of one CPU: a target that computes less is taken to compute as much */
#define SOON_NS  60e6 /* an account that may be empty within a tick */
#define SAVED_NS 10e9 /* no more than of so long is saved up */

static double cost_of(const struct budget *budget, const struct budget_use *use)
{
	double full = (double)use->hits * budget->emulated_ns + (double)use->stepped * budget->stepped_ns +
		      (double)use->samples * budget->sample_ns;
	double counted_stepped_ns = budget->counted_ns + budget->stepped_ns - budget->emulated_ns;

	return full + (double)use->passed * budget->counted_ns +
	       (double)use->passed_stepped * counted_stepped_ns;
}

void budget_start(struct budget *budget, const struct budget_use *use)
{
	budget->now_ns = use->now_ns;
	budget->cpu_ns = use->cpu_ns;
	budget->first_cpu_ns = use->cpu_ns;
	budget->account_ns = budget->share * START_NS;
	budget->raw_ns = cost_of(budget, use);
	budget->spent_ns = 0;
	budget->factor = 1;
	budget->need_ns = budget->account_ns;
	budget->is_on = true;
}

bool budget_look(struct budget *budget, const struct budget_use *use)
{
	double raw = cost_of(budget, use);
	double spent = budget->factor * (raw - budget->raw_ns);
	double cpu = use->cpu_ns > budget->cpu_ns ? (double)(use->cpu_ns - budget->cpu_ns) : 0;
	double wall = use->now_ns > budget->now_ns ? (double)(use->now_ns - budget->now_ns) : 0;
	double net = cpu > spent ? cpu - spent : 0;

	budget->account_ns += budget->share * (net > IDLE * wall ? net : IDLE * wall) - spent;
	if (budget->account_ns > budget->share * SAVED_NS) {
		budget->account_ns = budget->share * SAVED_NS;
	}
	budget->spent_ns += spent;
	budget->raw_ns = raw;
	budget->now_ns = use->now_ns;
	budget->cpu_ns = use->cpu_ns;
	if (budget->is_on) {
		budget->slice_spent_ns += spent;
		budget->slice_ns += wall;
		return budget->account_ns > 0;
	}
	return budget->account_ns > budget->need_ns;
}

void budget_charge(struct budget *budget, const struct budget_use *use)
{
	double raw = cost_of(budget, use);
	double spent = budget->factor * (raw - budget->raw_ns);
	double cpu = use->cpu_ns > budget->cpu_ns ? (double)(use->cpu_ns - budget->cpu_ns) : 0;

	spent = cpu > spent ? cpu : spent;
	budget->account_ns -= spent;
	budget->spent_ns += spent;
	budget->charged_ns += spent;
	budget->raw_ns = raw;
	budget->now_ns = use->now_ns;
	budget->cpu_ns = use->cpu_ns;
}

void budget_switched(struct budget *budget, bool is_on)
{
	budget->account_ns -= budget->switch_ns;
	budget->is_on = is_on;
	if (!is_on) { /* the next slice: as this one went, and of the right length */
		double rate = budget->slice_ns > 0 ? budget->slice_spent_ns / budget->slice_ns : 1;

		budget->need_ns = rate * SLICE_NS + 2 * budget->switch_ns + budget->charged_ns;
		budget->charged_ns = 0;
		if (budget->need_ns > budget->share * SAVED_NS / 2) {
			budget->need_ns = budget->share * SAVED_NS / 2;
		}
		budget->slice_spent_ns = 0;
		budget->slice_ns = 0;
	}
}

double budget_net_ns(const struct budget *budget)
{
	return (double)(budget->cpu_ns - budget->first_cpu_ns) - budget->spent_ns;
}

uint64_t budget_due(const struct budget *budget)
{
	return budget->now_ns + (budget->is_on && budget->account_ns < SOON_NS ? 5000000 : 20000000);
}
