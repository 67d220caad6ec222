-- Win rate and sales cycle by owner, quarter of the close date and currency, of opportunities that
-- are closed. Amounts of 10^27 or more, which no field of Salesforce holds, are left out.
SELECT
    -- First day of the quarter of the close date
    date_trunc('quarter', o.CloseDate)::DATE AS quarter,
    o.OwnerId AS owner_id,
    u.Name AS owner,
    -- Currency of the amounts; empty where the org has one
    o.CurrencyIsoCode AS currency,
    -- Opportunities that were closed
    count(*) AS closed,
    -- Those of them that were won
    count(*) FILTER (WHERE o.IsWon) AS won,
    -- Share of those closed that were won, from 0 to 1
    round((count(*) FILTER (WHERE o.IsWon) / count(*))::DECIMAL(18, 9), 4)::DOUBLE AS win_rate,
    -- Amount of those that were won
    sum(CASE WHEN abs(CAST(o.Amount AS DOUBLE)) < 1e27 THEN CAST(o.Amount AS DECIMAL(29, 2)) END)
        FILTER (WHERE o.IsWon) AS amount_won,
    -- Median of the days from creation to the close date of those that were won
    median(date_diff('day', o.CreatedDate::DATE, o.CloseDate)) FILTER (WHERE o.IsWon)
        AS median_days_to_win
FROM silver.opportunity AS o
LEFT JOIN silver.user AS u ON u.Id = o.OwnerId
WHERE o.IsClosed
GROUP BY 1, o.OwnerId, u.Name, o.CurrencyIsoCode
ORDER BY quarter DESC, amount_won DESC NULLS LAST, owner_id, currency
