/* SPDX-License-Identifier: MIT */
#include "fit.h"

#include <math.h>

#define FEWEST_CALLS  100  /* in a slice that tells something */
#define FEWEST_SLICES 2    /* of each kind */
#define SURE          0.02 /* no fit is better than this */
#define ALIKE         1e-3 /* below this the two kinds of slices do not differ */
#define LOWEST        0.3
#define HIGHEST       6.0
#define UNSURE        0.3 /* by how much the calibration alone is taken to be off; it was seen to be by a fifth */

void fit_add(struct fit *fit, double calls, double hits_ns, double cpu_ns, bool with_frees)
{
	if (calls < FEWEST_CALLS || cpu_ns <= 0) {
		return;
	}
	fit->nn += calls * calls / cpu_ns;
	fit->nh += calls * hits_ns / cpu_ns;
	fit->hh += hits_ns * hits_ns / cpu_ns;
	fit->nc += calls;
	fit->hc += hits_ns;
	fit->cc += cpu_ns;
	fit->with += with_frees;
	fit->without += !with_frees;
}

/* 0: the slices do not tell both. */
static double determinant_of(const struct fit *fit)
{
	double determinant = fit->nn * fit->hh - fit->nh * fit->nh;

	return fit->with < FEWEST_SLICES || fit->without < FEWEST_SLICES ||
			       determinant < ALIKE * fit->nn * fit->hh
		       ? 0
		       : determinant;
}

/* By least squares, and its standard error; false: the slices do not tell. */
static bool by_slices(const struct fit *fit, double *ret_factor, double *ret_deviation)
{
	double determinant = determinant_of(fit);
	double factor, calls, rest;

	if (determinant <= 0) {
		return false;
	}
	factor = (fit->nn * fit->hc - fit->nh * fit->nc) / determinant;
	calls = (fit->hh * fit->nc - fit->nh * fit->hc) / determinant;
	rest = fit->cc - calls * fit->nc - factor * fit->hc;
	*ret_factor = factor;
	*ret_deviation = sqrt((rest > 0 ? rest : 0) / (fit->with + fit->without - 2) * fit->nn / determinant);
	return true;
}

/* Calibration and slices, each as far as it can be relied on. */
static double both(const struct fit *fit, double *ret_deviation)
{
	double factor, deviation, weight = 1 / (UNSURE * UNSURE), more;

	*ret_deviation = UNSURE;
	if (!by_slices(fit, &factor, &deviation)) {
		return 1;
	}
	more = 1 / (deviation * deviation + SURE * SURE);
	*ret_deviation = 1 / sqrt(weight + more);
	factor = (weight + more * factor) / (weight + more);
	return factor < LOWEST ? LOWEST : factor > HIGHEST ? HIGHEST : factor;
}

double fit_factor(const struct fit *fit)
{
	double deviation;

	return both(fit, &deviation);
}

double fit_error(const struct fit *fit)
{
	double deviation, factor = both(fit, &deviation);
	double own = fit->cc - factor * fit->hc;

	if (own <= 0) {
		return fit->cc > 0 ? 1 : 0;
	}
	return deviation * fit->hc / own;
}
