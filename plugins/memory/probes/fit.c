/* SPDX-License-Identifier: MIT */
#include "fit.h"

#include <math.h>

#define FEWEST_CALLS  100  /* in a slice that tells something */
#define FEWEST_SLICES 2    /* of each kind */
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

double fit_factor(const struct fit *fit)
{
	double determinant = determinant_of(fit);
	double factor;

	if (determinant <= 0) {
		return 1;
	}
	factor = (fit->nn * fit->hc - fit->nh * fit->nc) / determinant;
	return factor < LOWEST ? LOWEST : factor > HIGHEST ? HIGHEST : factor;
}

double fit_error(const struct fit *fit)
{
	double determinant = determinant_of(fit);
	double k = fit_factor(fit);
	double own = fit->cc - k * fit->hc;
	double deviation = UNSURE, error;

	if (own <= 0) {
		return fit->cc > 0 ? 1 : 0;
	}
	if (determinant > 0) {
		double calls = (fit->hh * fit->nc - fit->nh * fit->hc) / determinant;
		double rest = fit->cc - calls * fit->nc - k * fit->hc;

		deviation =
			sqrt((rest > 0 ? rest : 0) / (fit->with + fit->without - 2) * fit->nn / determinant);
	}
	error = deviation * fit->hc / own;
	return error < 1 ? error : 1;
}
