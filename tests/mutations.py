"""Faults that once lived, as changes of text, and the test that must see each one; add a line for every new one."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """In `file` of the package, `old` (found once) becomes `new`: then `test`, of this folder, must fail."""

    file: str
    old: str
    new: str
    test: str


MUTATIONS = (
    Mutation(
        "program/general/pieces.py",
        "(past > 0.0) != on.opened",
        "np.zeros_like(on.opened)",
        "test_small.py::test_pieces_told_wrong_are_read_again_from_their_own_answer",
    ),
    Mutation(
        "program/general/pieces.py",
        "bent[1] &= ~same",
        "bent[1] |= same",
        "test_small.py::test_selling_and_going_short_from_nothing_are_one_kink",
    ),
    Mutation(
        "program/duality.py",
        "return pull if length <= v.price else pull * (v.price / length)",
        "return 1.0 * pull",
        "test_volatility_price.py::test_no_pull_proves_more_than_the_optimum",
    ),
    Mutation(
        "program/volatility_price.py",
        "if judge(program, whole, tolerance).status is Status.OPTIMAL:",
        "if False:",
        "test_volatility_price.py::test_a_hedge_that_leaves_no_volatility_is_proved",
    ),
    Mutation(
        "program/lots/rounding.py",
        "return max(v.volatility(h), _SHARE_LEFT * fractions)",
        "return v.volatility(h)",
        "test_volatility_price.py::test_whole_lots_of_a_whole_hedge_are_no_worse_than_the_nearest_ones_or_none",
    ),
    Mutation(
        "hedge/builder.py",
        "self.tradable & np.isneginf(lower), self.tradable & np.isposinf(upper)",
        "self.tradable & ~np.isneginf(lower), self.tradable & ~np.isposinf(upper)",
        "test_builder.py::test_a_limit_replaces_the_default_box_on_its_side_only",
    ),
    Mutation(  # the flags alone: the boxes stay
        "hedge/builder.py",
        "            default_lower,\n            default_upper,\n        )",
        "            default_upper,\n            default_lower,\n        )",
        "test_builder.py::test_a_limit_replaces_the_default_box_on_its_side_only",
    ),
    Mutation(
        "hedge/problem.py",
        "default_lower=self.default_lower & (lower == p.lower)",
        "default_lower=self.default_lower & (lower != p.lower)",
        "test_builder.py::test_a_limited_line_is_a_default_box_no_more_on_that_side",
    ),
    Mutation(
        "hedge/answer.py",
        "touched = problem.at_default_box(solution.h) if certificate.optimal else []",
        "touched = []",
        "test_model.py::test_touching_a_default_box_is_unbounded_not_an_optimum",
    ),
    Mutation(
        "program/general/cvxpy_.py",
        "price = float(np.max(rest[-1].dual_value)) / scaled.volatility_limit.limit",
        "price = 2 * float(np.max(rest[-1].dual_value)) / scaled.volatility_limit.limit",
        "test_cvxpy.py::test_a_volatility_limit_by_a_cone_agrees_with_its_price",
    ),
    Mutation(
        "program/duality.py",
        "np.where(top, np.minimum(above, 0), np.where(bottom, np.maximum(below, 0), 0))",
        "np.where(top, np.minimum(below, 0), np.where(bottom, np.maximum(above, 0), 0))",
        "test_explain.py::test_the_price_of_a_bound_is_what_one_contract_more_of_room_saves",
    ),
    Mutation(
        "program/duality.py",
        "top, bottom = (h >= p.upper)",
        "bottom, top = (h >= p.upper)",
        "test_explain.py::test_the_price_of_a_bound_lies_between_the_difference_quotients",
    ),
    Mutation(
        "program/infeasible.py",
        "p, row_lower=np.where(rows & (values < p.row_lower), values - slack, p.row_lower),",
        "p, row_lower=p.row_lower,",
        "test_infeasible.py::test_limits_that_merely_bind_do_not_move",
    ),
    Mutation(
        "hedge/terms/neutrality.py",
        "lower, upper = self.limits(p.size)",
        "lower, upper = self.limits(p.gross)",
        "test_neutrality.py::test_band_share_is_of_the_books_gross_or_the_capital_if_that_is_larger",
    ),
    Mutation(
        "hedge/result.py",
        "volatility.min() ** 2 <= (1 - _MATERIAL) * alone**2",
        "volatility.min() <= (1 - _MATERIAL) * alone",
        "test_result.py::test_a_hedge_is_material_where_it_takes_a_tenth_off_the_variance",
    ),
    Mutation(
        "market/families/inverse_future.py",
        "return c.spot / c.forward**2",
        "return c.spot / c.forward  #",
        "test_small_factors.py::test_a_tick_of_an_inverse_future_is_worth_what_its_own_formula_says",
    ),
    Mutation(
        "market/loadings.py",
        "2 * s.value[pairs.row[bent]]",
        "-2 * s.value[pairs.row[bent]]",
        "test_small_factors.py::test_a_value_behind_an_inverted_pair_is_convex_in_it",
    ),
    Mutation(
        "market/valuation.py",
        "low * (1 - weight) + high * weight",
        "low * weight + high * (1 - weight)",
        "test_small_factors.py::test_a_rate_between_two_tenors_leans_to_the_nearer",
    ),
    Mutation(
        "accounts/timeline.py",
        "if quantity < 0 and name in rates:",
        "if name in rates:",
        "test_accounts.py::test_shorts_pay_borrow_on_their_value",
    ),
    Mutation(
        "market/exposures.py",
        'c.unsettled**2 if name in ("gamma", "volga")',
        'c.unsettled**2 if name in ("gamma",)',
        "test_small_factors.py::test_while_the_settlement_average_runs_second_derivatives_shrink_by_its_square",
    ),
    Mutation(
        "market/earned.py",
        "fx = c.fx * ratio**c.power",
        "fx = c.fx * 1.0",
        "test_small_factors.py::test_a_dollar_payoff_is_paid_in_dollars_at_the_settlement_level_of_a_coin_book",
    ),
    Mutation(
        "hedge/baselines.py",
        "trade[column[best]] = -covariance",
        "trade[column[best]] = covariance",
        "test_small_factors.py::test_the_simple_hedges_are_sold_against_a_long_book",
    ),
    Mutation(
        "hedge/baselines.py",
        "trade[chosen] = -np.linalg",
        "trade[chosen] = np.linalg",
        "test_small_factors.py::test_the_simple_hedges_are_sold_against_a_long_book",
    ),
    Mutation(
        "program/lots/neighbourhood.py",
        "variance = variance + 2 * step_i * step_j *",
        "variance = variance + step_i * step_j *",
        "test_small_factors.py::test_the_volatility_after_a_pair_of_lots_holds_their_cross_term",
    ),
    Mutation(
        "market/costs.py",
        "short = np.maximum(-held, 0.0)",
        "short = np.maximum(held, 0.0)",
        "test_costs.py::test_funding_is_paid_by_longs_and_borrow_by_shorts",
    ),
    Mutation(
        "program/lots/neighbourhood.py",
        "change += steps[0][2] * steps[1][2] *",
        "change += 0 * steps[0][2] * steps[1][2] *",
        "test_lots.py::test_predicted_changes_of_moves_equal_recomputation",
    ),
    Mutation(
        "program/lots/few_legs.py",
        "return within if dearer > cost + self.tick else nearest",
        "return nearest if dearer < np.inf else within",
        "test_few_legs.py::test_random_hedges_of_up_to_four_legs_agree_with_enumeration",
    ),
    Mutation(
        "program/loss_box.py",
        "dearest = (cheapest + slack) / p.linear",
        "dearest = (cheapest + 0.1 * slack) / p.linear",
        "test_loss_box.py::test_the_optimum_is_inside_and_is_the_same",
    ),
    Mutation(
        "program/general/cone_proof.py",
        "bool((np.clip(own, p.lower, p.upper) == h).all())",
        "bool((np.clip(own, p.lower, p.upper) == own).all())",
        "test_cvxpy.py::test_a_proof_is_of_the_quantities_in_its_own_answer_and_of_no_others",
    ),
    Mutation(
        "program/own/told.py",
        "slope=2 * size)",
        "slope=size)",
        "test_own_costs.py::test_what_is_charged_and_what_is_left_are_the_cost",
    ),
    Mutation(
        "risk/reverting.py",
        "ratio[name] = np.sqrt(variance_ratio(levels, span))",
        "ratio[name] = variance_ratio(levels, span)",
        "test_reverting.py::test_a_hedge_over_many_days_has_the_basis_risk_of_so_many_days",
    ),
    Mutation(
        "market/funding.py",
        '(table["time"] > start.as_of)',
        '(table["time"] >= start.as_of)',
        "test_pnl.py::test_funding_given_by_rows_is_paid_at_each_instant_on_what_was_its_notional_then",
    ),
    Mutation(
        "program/infeasible.py",
        "if self.least is None or self.total <= self.least * (1 + _SAME):",
        "if self.least is None or self.total >= self.least * (1 + _SAME):",
        "test_infeasible.py::test_what_is_called_the_smallest_change_is_the_least_total_or_says_by_how_much_it_is_not",
    ),
    Mutation(
        "program/softened.py",
        "upper[self.row] += self.weight * least",
        "upper[self.row] += 0 * least",
        "test_curved_tails.py::test_without_scenarios_own_columns_the_objective_is_the_same_with_these_at_their_best",
    ),
    Mutation(
        "program/softened.py",
        "if _touches(found.h, near, soft):",
        "if False:",
        "test_curved_tails.py::test_a_quantile_outside_its_nearer_box_is_found_in_its_own",
    ),
    Mutation(
        "program/tail_limit.py",
        "share = low.excess / (low.excess - high.excess)",
        "share = high.excess / (high.excess - low.excess)",
        "test_curved_tails.py::test_a_limit_where_a_weighted_tail_ends_has_the_weighted_tails_optimum",
    ),
    Mutation(
        "program/structured/primal_system.py",
        "ahead = ahead - self._half @ dV[self._stays]",
        "ahead = ahead + self._half @ dV[self._stays]",
        "test_newton_system.py::test_by_the_columns_side_a_step_is_the_same",
    ),
)
