-- Open pipeline by account and stage: how many opportunities there are, what they are worth, and
-- what they are worth weighted by their probability.
SELECT
    o.AccountId AS account_id,
    a.Name AS account,
    o.StageName AS stage,
    count(*) AS opportunities,
    sum(o.Amount) AS amount,
    round(sum(o.Amount * o.Probability * 0.01), 2) AS weighted_amount,
    min(o.CloseDate) AS next_close_date
FROM silver.opportunity AS o
LEFT JOIN silver.account AS a ON a.Id = o.AccountId
WHERE NOT o.IsClosed
GROUP BY o.AccountId, a.Name, o.StageName
ORDER BY weighted_amount DESC NULLS LAST, account_id, stage
