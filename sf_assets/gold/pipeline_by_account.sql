-- Open pipeline by account, stage and currency: how many opportunities there are, what they are
-- worth, and what they are worth weighted by their probability. Amounts of 10^27 or more, which no
-- field of Salesforce holds, are left out.
WITH deals AS (
    SELECT
        o.AccountId,
        o.StageName,
        o.CurrencyIsoCode,
        o.CloseDate,
        CASE WHEN abs(CAST(o.Amount AS DOUBLE)) < 1e27 THEN CAST(o.Amount AS DECIMAL(29, 2)) END
            AS amount,
        CASE
            WHEN CAST(o.Probability AS DOUBLE) BETWEEN 0 AND 100
                THEN CAST(o.Probability AS DECIMAL(5, 2))
        END AS probability
    FROM silver.opportunity AS o
    WHERE NOT o.IsClosed
)
SELECT
    d.AccountId AS account_id,
    a.Name AS account,
    d.StageName AS stage,
    -- Currency of the amounts; empty where the org has one
    d.CurrencyIsoCode AS currency,
    -- Open opportunities
    count(*) AS opportunities,
    -- What they are worth
    sum(d.amount) AS amount,
    -- What they are worth, each weighted by its probability
    round(sum(d.amount * (d.probability * 0.01)), 2) AS weighted_amount,
    -- The earliest of their close dates
    min(d.CloseDate) AS next_close_date
FROM deals AS d
LEFT JOIN silver.account AS a ON a.Id = d.AccountId
GROUP BY d.AccountId, a.Name, d.StageName, d.CurrencyIsoCode
ORDER BY weighted_amount DESC NULLS LAST, account_id, stage, currency
