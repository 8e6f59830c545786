// SPDX-License-Identifier: MIT
// throws SECONDS: templates that call one another, and exceptions that pass through all of them; a row of frames without pointers.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <stdexcept>
#include <string>

static volatile uint64_t sink;

static uint64_t now_ns()
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

template <typename Word> struct Machine {
	template <int Depth> __attribute__((noinline)) static Word turn(Word value)
	{
		std::string guard(40, 'x'); // to be destroyed when an exception passes
		Word got;
		if constexpr (Depth == 0) {
			for (int i = 0; i < 20000; i++) {
				value = value * 6364136223846793005u + 1442695040888963407u;
				__asm__ volatile("" : "+r"(value));
			}
			throw std::runtime_error("bottom");
		} else {
			got = turn<Depth - 1>(value + Depth);
		}
		return got + guard.size();
	}
};

int main(int argc, char **argv)
{
	uint64_t end_ns = now_ns() + static_cast<uint64_t>((argc > 1 ? std::atof(argv[1]) : 1) * 1e9);
	uint64_t caught = 0;

	while (now_ns() < end_ns) {
		try {
			sink = Machine<uint64_t>::turn<30>(sink);
		} catch (const std::runtime_error &) {
			caught++;
		}
	}
	std::printf("{\"caught\": %llu}\n", static_cast<unsigned long long>(caught));
	return 0;
}
