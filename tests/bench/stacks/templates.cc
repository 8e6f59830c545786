// SPDX-License-Identifier: MIT
// C++ as template libraries make it, with deep chains of inlined calls: compare.py compiles it and asks what stands where.
#include <algorithm>
#include <deque>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace
{

using value = std::variant<long, double, std::string, std::vector<int>>;

struct weigh {
	double operator()(long number) const
	{
		return static_cast<double>(number);
	}
	double operator()(double number) const
	{
		return number;
	}
	double operator()(const std::string &text) const
	{
		return static_cast<double>(text.size());
	}
	double operator()(const std::vector<int> &many) const
	{
		return std::accumulate(many.begin(), many.end(), 0.0);
	}
};

std::vector<std::string> words(const std::string &text)
{
	static const std::regex word(R"(([A-Za-z]+)(?:-(\d{1,3}))?)",
				     std::regex::icase | std::regex::optimize);
	std::vector<std::string> found;

	for (std::sregex_iterator at(text.begin(), text.end(), word), end; at != end; ++at) {
		found.push_back(std::regex_replace(at->str(1), std::regex("[aeiou]"), "_"));
	}
	return found;
}

double tally(std::mt19937 &random, const std::vector<std::string> &names)
{
	std::unordered_map<std::string, std::shared_ptr<value>> by_name;
	std::map<double, std::set<std::string>> by_weight;
	std::deque<std::function<double(double)>> steps;

	for (const auto &name : names) {
		switch (random() % 4) {
		case 0:
			by_name[name] = std::make_shared<value>(static_cast<long>(random()));
			break;
		case 1:
			by_name[name] = std::make_shared<value>(static_cast<double>(random()));
			break;
		case 2:
			by_name[name] = std::make_shared<value>(name + name);
			break;
		default:
			by_name[name] = std::make_shared<value>(std::vector<int>(random() % 20, 3));
		}
		steps.emplace_back([weight = name.size()](double sum) {
			return sum / (1.0 + static_cast<double>(weight));
		});
	}
	for (const auto &[name, held] : by_name) {
		by_weight[std::visit(weigh(), *held)].insert(name);
	}
	std::vector<std::pair<double, std::string>> rows;
	for (const auto &[weight, set] : by_weight) {
		std::transform(
			set.begin(), set.end(), std::back_inserter(rows),
			[weight = weight](const std::string &name) { return std::make_pair(weight, name); });
	}
	std::stable_sort(rows.begin(), rows.end(),
			 [](const auto &a, const auto &b) { return a.second < b.second; });
	std::shuffle(rows.begin(), rows.end(), random);
	std::partial_sort(rows.begin(), rows.begin() + static_cast<long>(rows.size() / 2), rows.end());
	return std::accumulate(steps.begin(), steps.end(), rows.empty() ? 0.0 : rows.front().first,
			       [](double sum, const auto &step) { return step(sum); });
}

} // namespace

int main(int argc, char **argv)
{
	std::mt19937 random(static_cast<unsigned>(argc));
	std::ostringstream text;

	for (const auto &entry : std::filesystem::directory_iterator(argc > 1 ? argv[1] : ".")) {
		text << entry.path().filename().string() << ' ' << entry.path().extension() << '\n';
	}
	std::cout << tally(random, words(text.str())) << '\n';
	return 0;
}
