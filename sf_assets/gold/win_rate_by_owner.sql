-- Win rate and sales cycle by owner and quarter of the close date, of opportunities that are closed.
SELECT
    date_trunc('quarter', o.CloseDate)::DATE AS quarter,
    o.OwnerId AS owner_id,
    u.Name AS owner,
    count(*) AS closed,
    count(*) FILTER (WHERE o.IsWon) AS won,
    round(count(*) FILTER (WHERE o.IsWon) / count(*), 4) AS win_rate,
    sum(o.Amount) FILTER (WHERE o.IsWon) AS amount_won,
    median(date_diff('day', o.CreatedDate::DATE, o.CloseDate)) FILTER (WHERE o.IsWon)
        AS median_days_to_win
FROM silver.opportunity AS o
LEFT JOIN silver.user AS u ON u.Id = o.OwnerId
WHERE o.IsClosed
GROUP BY 1, o.OwnerId, u.Name
ORDER BY quarter DESC, amount_won DESC NULLS LAST, owner_id
